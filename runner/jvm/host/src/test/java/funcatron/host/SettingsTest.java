package funcatron.host;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class SettingsTest {
    @TempDir
    Path dir;

    private Map<String, String> environment(String props) throws IOException {
        return new HashMap<>(Map.of(
                "PORT", "8080",
                "FUNCATRON_PROPS_FILE", Files.writeString(dir.resolve("props"), props).toString(),
                "FUNCATRON_SWAGGER_FILE", Files.writeString(dir.resolve("swagger"), "{\"swagger\":\"2.0\"}").toString()));
    }

    @Test
    void readsTheEnvironment() throws Exception {
        var environment = environment("{\"my-db\":{\"max_size\":1}}");
        Settings settings = Settings.of(environment);
        assertNull(settings.socket());
        assertEquals(8080, settings.port());
        assertEquals(64, settings.concurrency());
        assertEquals(Map.of("myDb", Map.of("maxSize", 1L)), settings.properties());
        assertEquals(Map.of("swagger", "2.0"), settings.document());
        environment.put("FUNCATRON_SOCKET", "/run/s");
        environment.put("FUNCATRON_CONCURRENCY", "3");
        assertEquals(Path.of("/run/s"), Settings.of(environment).socket());
        assertEquals(3, Settings.of(environment).concurrency());
    }

    @Test
    void saysWhatIsWrong() throws Exception {
        for (var wrong : Map.of("PORT", "x", "FUNCATRON_CONCURRENCY", "0", "FUNCATRON_SWAGGER_FILE", dir.resolve("none").toString()).entrySet()) {
            var environment = environment("{}");
            environment.put(wrong.getKey(), wrong.getValue());
            var e = assertThrows(UnservableException.class, () -> Settings.of(environment));
            assertTrue(e.getMessage().contains(wrong.getKey()), e.getMessage());
        }
        var e = assertThrows(UnservableException.class, () -> Settings.of(environment("[\"secret\"]")));
        assertFalse(e.getMessage().contains("secret"), e.getMessage());
    }

    @Test
    void namesInCamelCase() {
        for (var name : Map.of("my-db", "myDb", "my_other-db", "myOtherDb", "MAX_SIZE", "maxSize", "Content-Type", "contentType",
                "camelCase", "camelCase", "URL", "URL", "a.b-c", "a.b-c", "-x", "-x", "a--b", "a--b").entrySet()) {
            assertEquals(name.getValue(), Names.camelCase(name.getKey()));
        }
        assertEquals(Map.of("aB", List.of(Map.of("cD", 1L))), Names.camelCase(Map.of("a-b", List.of(Map.of("c-d", 1L)))));
        Map<String, Object> both = Map.of("a-b", "kebab", "aB", "camel");
        assertEquals(Map.of("aB", "camel"), Names.camelCase(both));
    }
}
