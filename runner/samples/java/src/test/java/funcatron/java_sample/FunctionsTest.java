package funcatron.java_sample;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;

import funcatron.intf.Context;
import funcatron.intf.MetaResponse;
import funcatron.intf.StatusException;
import funcatron.intf.impl.ContextImpl;
import java.util.List;
import java.util.Map;
import java.util.logging.Logger;
import org.junit.jupiter.api.Test;

/** Functions are plain objects: a test makes one, and the request that it wants. */
class FunctionsTest {
    private static Context request(String method, Map<String, Object> path, Map<String, Object> query) {
        return new ContextImpl(
                Map.of("request-method", method, "headers", Map.of(), "parameters", Map.of("path", path, "query", query)),
                Logger.getAnonymousLogger());
    }

    @Test
    void simpleGet() {
        var answer = (Map<?, ?>) new SimpleGet().apply(null, request("get", Map.of("num", Long.MAX_VALUE), Map.of("cool", "yes")));
        assertEquals(Long.MAX_VALUE, answer.get("num-param"));
        assertEquals(Map.of("cool", "yes"), answer.get("query-params"));
    }

    @Test
    void postOrDelete() {
        PostOrDelete function = new PostOrDelete();
        Map<String, Object> path = Map.of("cnt", 2L);
        assertEquals(
                List.of(new Data("Ann1", 9007199254740994L), new Data("Ann2", 9007199254740995L)),
                function.apply(new Data("Ann", 9007199254740993L), request("post", path, Map.of())));
        assertEquals(new Data("Deleted 2", 2), function.apply(null, request("delete", path, Map.of())));
        MetaResponse refusal = assertInstanceOf(MetaResponse.class, function.apply(null, request("get", path, Map.of())));
        assertEquals(400, refusal.getResponseCode());
        assertArrayEquals("Expecting a POST or DELETE, but got get".getBytes(), refusal.getBody());
    }

    @Test
    void visitsNeedADatabase() {
        var e = assertThrows(StatusException.class, () -> new ListVisits().apply(null, request("get", Map.of(), Map.of("limit", 1))));
        assertEquals(503, e.status());
    }
}
