package funcatron.intf.impl;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotSame;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import funcatron.intf.Context;
import funcatron.intf.Func;
import funcatron.intf.MetaResponse;
import funcatron.intf.StatusException;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import org.junit.jupiter.api.Test;
import org.w3c.dom.Document;

class DispatcherTest {
    private final TestRunner runner = new TestRunner(Map.of("key", "value"));

    public static class Data {
        public String name;
        public long age;
    }

    /** Says which of its methods was called, and answers by it. */
    public static class EachMethod implements Func<Data> {
        @Override
        public Object apply(Data data, Context context) {
            return "apply " + context.getMethod();
        }

        @Override
        public Object get(Context context) {
            return "get";
        }

        @Override
        public Object delete(Context context) {
            return "delete";
        }

        @Override
        public Object put(Data data, Context context) {
            return "put " + data.name + data.age;
        }
    }

    @Test
    void callsTheMethodOfTheMethod() {
        assertEquals("get", runner.call(EachMethod.class, "get").body());
        assertEquals("get", runner.call(EachMethod.class, "head").body());
        assertEquals("delete", runner.call(EachMethod.class, "delete").body());
        assertEquals("apply post", runner.call(EachMethod.class, "post").body());
        assertEquals("apply options", runner.call(EachMethod.class, "options").body());
        assertEquals("put Ann9007199254740993", runner.call(EachMethod.class, "put", "application/json",
                "{\"name\":\"Ann\",\"age\":9007199254740993}", Map.of()).body());
    }

    public static class Returns implements Func<Map<String, Object>> {
        static Object value;

        @Override
        public Object apply(Map<String, Object> request, Context context) {
            return value;
        }
    }

    private TestRunner.Reply returning(Object value) {
        Returns.value = value;
        return runner.call(Returns.class, "get");
    }

    @Test
    void answersByWhatIsReturned() {
        assertReply(returning("Grüße"), 200, "text/plain; charset=utf-8", "Grüße");
        assertReply(returning(new byte[] {65}), 200, "application/octet-stream", "A");
        assertReply(returning(new ByteArrayInputStream(new byte[] {66})), 200, "application/octet-stream", "B");
        assertReply(returning(List.of(1L, 9007199254740993L)), 200, "application/json", "[1,9007199254740993]");
        assertReply(returning(null), 204, null, null);
        assertReply(returning(new MetaResponse() {}), 200, null, null);
    }

    @Test
    void answersWithAMetaResponse() {
        TestRunner.Reply reply = returning(new MetaResponse() {
            @Override
            public int getResponseCode() {
                return 418;
            }

            @Override
            public Map<String, String> getHeaders() {
                return Map.of("X-A", "b", "content-type", "text/x");
            }

            @Override
            public byte[] getBody() {
                return "tea".getBytes(StandardCharsets.UTF_8);
            }
        });
        assertReply(reply, 418, "text/x", "tea");
        assertEquals("b", reply.header("X-A"));
        assertReply(returning(new MetaResponse() {
            @Override
            public boolean isLargeBody() {
                return true;
            }

            @Override
            public InputStream getBodyStream() {
                return new ByteArrayInputStream("large".getBytes(StandardCharsets.UTF_8));
            }
        }), 200, "application/octet-stream", "large");
        assertThrows(IllegalArgumentException.class, () -> returning(new MetaResponse() {
            @Override
            public int getResponseCode() {
                return 99;
            }
        }));
    }

    @Test
    void metaResponseNamesItsEntries() {
        Map<String, Object> entries = new java.util.HashMap<>();
        new MetaResponse() {
            @Override
            public byte[] getBody() {
                return new byte[] {1};
            }
        }.forEach(e -> entries.put(e.getKey(), e.getValue()));
        assertEquals(200, entries.get("responseCode"));
        assertEquals(false, entries.get("largeBody"));
        assertSame(entries.get("body"), entries.get("bodyArray"));
    }

    public static class Custom implements Func<String> {
        @Override
        public Object apply(String text, Context context) {
            return List.of(text);
        }

        @Override
        public Function<InputStream, String> jsonDecoder() {
            return in -> "decoded";
        }

        @Override
        public Function<Object, byte[]> jsonEncoder() {
            return value -> ("encoded " + value).getBytes(StandardCharsets.UTF_8);
        }

        @Override
        public String contentType() {
            return "application/x";
        }

        @Override
        public int statusCode() {
            return 201;
        }

        @Override
        public Map<String, Object> headers() {
            return Map.of("X-List", List.of("a", "b"));
        }
    }

    @Test
    void usesTheFunctionsOwnDecoderAndEncoder() {
        TestRunner.Reply reply = runner.call(Custom.class, "post", "application/json", "{}", Map.of());
        assertReply(reply, 201, "application/x", "encoded [decoded]");
        assertEquals(List.of("a", "b"), reply.header("X-List"));
    }

    public static class OfBytes implements Func<byte[]> {
        @Override
        public Object apply(byte[] bytes, Context context) {
            return "bytes " + bytes.length;
        }
    }

    public static class OfStream implements Func<InputStream> {
        @Override
        public Object apply(InputStream in, Context context) throws IOException {
            return "stream " + in.readAllBytes().length;
        }
    }

    public static class OfText implements Func<String> {
        @Override
        public Object apply(String text, Context context) {
            return text;
        }
    }

    public static class OfXml implements Func<Document> {
        @Override
        public Object apply(Document document, Context context) {
            document.getDocumentElement().setAttribute("seen", "yes");
            return document;
        }
    }

    public static class OfList implements Func<List<Data>> {
        @Override
        public Object apply(List<Data> list, Context context) {
            return list == null ? "none" : list.get(0).name + list.get(0).age;
        }
    }

    private String body(Class<?> function, String contentType, String body) {
        return runner.call(function, "post", contentType, body, Map.of()).body();
    }

    @Test
    void readsTheBodyAsTheClassTakesIt() {
        assertEquals("bytes 4", body(OfBytes.class, "application/octet-stream", "{\"a\""));
        assertEquals("bytes 0", body(OfBytes.class, null, null));
        assertEquals("stream 4", body(OfStream.class, "application/json", "null"));
        assertEquals("stream 0", body(OfStream.class, null, null));
        assertEquals("{not json", body(OfText.class, "text/plain", "{not json"));
        assertEquals("json", body(OfText.class, "application/json; charset=utf-8", "\"json\""));
        assertEquals("Ann7", body(OfList.class, "application/json", "[{\"name\":\"Ann\",\"age\":7}]"));
        assertEquals("none", body(OfList.class, "application/json", null));
        assertTrue(body(OfXml.class, "application/xml", "<a><b/></a>").endsWith("<a seen=\"yes\"><b/></a>"));
    }

    @Test
    void refusesABodyThatCannotBeRead() {
        for (String bad : new String[] {"{", "[{\"age\":\"x\"}]", "", "7"}) {
            assertProblem(runner.call(OfList.class, "post", "application/json", bad, Map.of()), 400, "the body cannot be read");
        }
        String entity = "<!DOCTYPE a [<!ENTITY e SYSTEM \"file:///etc/passwd\">]><a>&e;</a>";
        assertProblem(runner.call(OfXml.class, "post", "application/xml", entity, Map.of()), 400, "DOCTYPE");
        assertProblem(runner.call(OfText.class, "post", "text/plain; charset=klingon", "x", Map.of()), 400, "klingon");
    }

    public static class Throws implements Func<Object> {
        static Exception exception;

        @Override
        public Object apply(Object o, Context context) throws Exception {
            throw exception;
        }
    }

    @Test
    void letsExceptionsPassButThoseOfAStatus() {
        Throws.exception = new IOException("on purpose");
        assertSame(Throws.exception, assertThrows(IOException.class, () -> runner.call(Throws.class, "get")));
        Throws.exception = new StatusException(422, "no \"good\"\u0001\ud800 Grüße 🚀");
        TestRunner.Reply reply = runner.call(Throws.class, "get");
        assertProblem(reply, 422, "no \\\"good\\\"\\u0001\\ud800 Grüße 🚀");
        assertTrue(reply.body().contains("\"title\":\"Unprocessable Content\""), reply.body());
        Throws.exception = new StatusException(200, "no failure at all");
        assertProblem(runner.call(Throws.class, "get"), 500, "no failure at all");
    }

    public static class Mine implements Func<Object> {
        static final List<Object> objects = new ArrayList<>();

        @Override
        public Object apply(Object o, Context context) {
            objects.add(this);
            return null;
        }
    }

    @Test
    void makesAnObjectForEachRequest() {
        runner.call(Mine.class, "get");
        runner.call(Mine.class, "get");
        assertNotSame(Mine.objects.get(0), Mine.objects.get(1));
    }

    public abstract static class Abstract implements Func<Object> {}

    public static class WithParameter implements Func<Object> {
        public WithParameter(int i) {}

        @Override
        public Object apply(Object o, Context context) {
            return null;
        }
    }

    @Test
    void saysWhatIsWrongWithAFunction() {
        for (var wrong : Map.of(
                "no.such.Class", "the jar has no class no.such.Class",
                "java.lang.String", "class java.lang.String does not implement funcatron.intf.Func",
                Abstract.class.getName(), "is abstract",
                WithParameter.class.getName(), "has no constructor without parameters").entrySet()) {
            var e = assertThrows(IllegalArgumentException.class, () -> runner.dispatcher(wrong.getKey()));
            assertTrue(e.getMessage().contains(wrong.getValue()), e.getMessage());
        }
    }

    public static class Asks implements Func<Object> {
        static Context context;

        @Override
        public Object apply(Object o, Context c) {
            context = c;
            return null;
        }
    }

    @Test
    void contextTellsOfTheRequest() {
        runner.call(Asks.class, "post", "text/x; a=b", null, Map.of(
                "parameters", Map.of(
                        "path", Map.of("id", 9223372036854775807L, "a", "path"),
                        "query", Map.of("limit", 10L, "a", "query"),
                        "header", Map.of("X-H", true),
                        "body", Map.of("field", "f", "a", "form")),
                "query-params", Map.of("limit", "10", "cool", "yes", "more", List.of("1", "2")),
                "scheme", "http", "host", "example.com", "$deadline", System.nanoTime() + Duration.ofMinutes(1).toNanos()));
        Context c = Asks.context;
        assertEquals("post", c.getMethod());
        assertEquals("/x", c.getURI());
        assertEquals("text/x; a=b", c.contentType());
        assertEquals(9223372036854775807L, c.getPathParams().get("id"));
        assertEquals(Map.of("limit", 10L, "a", "query", "cool", "yes", "more", List.of("1", "2")), c.getQueryParams());
        assertEquals(Map.of("field", "f", "a", "form"), c.getBodyParams());
        assertEquals(Map.of("X-H", true), c.getHeaderParams());
        assertEquals("path", c.getMergedParams().get("a"));
        assertEquals(7, c.getMergedParams().size());
        assertEquals(Map.of("key", "value"), c.properties());
        assertEquals("http", c.getScheme());
        assertEquals("example.com", c.getHost());
        assertEquals(TestRunner.REQ, c.requestId());
        assertEquals("op", c.operation());
        assertSame(runner.logger, c.getLogger());
        assertTrue(c.timeLeft().orElseThrow().toSeconds() > 50);

        var outgoing = c.newRequest(URI.create("http://example.com/")).build();
        assertEquals(TestRunner.REQ, outgoing.headers().firstValue("X-Request-Id").orElseThrow());
        assertTrue(outgoing.headers().firstValue("traceparent").orElseThrow().contains(TestRunner.REQ));
        assertTrue(outgoing.timeout().orElseThrow().toSeconds() > 50);
    }

    @Test
    void contextOfAnEmptyRequest() {
        Context c = new ContextImpl(Map.of(), runner.logger);
        assertNull(c.getMethod());
        assertNull(c.contentType());
        assertEquals(Map.of(), c.getMergedParams());
        assertEquals("", c.requestId());
        assertTrue(c.timeLeft().isEmpty());
        assertTrue(c.services().isEmpty());
    }

    private static void assertReply(TestRunner.Reply reply, int status, String type, String body) {
        assertEquals(status, reply.status());
        assertEquals(type, reply.header("Content-Type"));
        assertEquals(body, reply.body());
    }

    static void assertProblem(TestRunner.Reply reply, int status, String detail) {
        assertEquals(status, reply.status());
        assertEquals("application/problem+json", reply.header("Content-Type"));
        String body = reply.body();
        assertTrue(body.contains(detail), body);
        assertTrue(body.contains("\"status\":" + status) && body.contains("\"requestId\":\"" + TestRunner.REQ), body);
    }
}
