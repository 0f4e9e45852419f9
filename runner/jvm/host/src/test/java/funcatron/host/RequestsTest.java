package funcatron.host;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;

class RequestsTest {
    @Test
    void readsQueryStrings() {
        assertEquals(Map.of(), Requests.Query.parse(null));
        assertEquals(Map.of(), Requests.Query.parse("&&"));
        assertEquals(Map.of("a", "", "b", "", "", "c"), Requests.Query.parse("a&b=&=c"));
        assertEquals(Map.of("a", List.of("1", "2", "3")), Requests.Query.parse("a=1&a=2&a=3"));
        assertEquals(Map.of("a b", "c d=<"), Requests.Query.parse("a+b=c%20d=%3C"));
        assertEquals(Map.of("a", "%zz%2%"), Requests.Query.parse("a=%zz%2%"));
        assertEquals(Map.of("a", "ü\ufffd"), Requests.Query.parse("a=%C3%BC%ff"));
    }

    @Test
    void readsQueryStringsThatWereWritten() {
        Random random = new Random(1);
        for (int i = 0; i < 2000; i++) {
            Map<String, Object> expected = new LinkedHashMap<>();
            List<String> pairs = new ArrayList<>();
            for (int k = random.nextInt(5); k > 0; k--) {
                String name = "n" + k + JsonTest.string(random);
                List<Object> values = new ArrayList<>();
                for (int n = 1 + random.nextInt(3); n > 0; n--) {
                    String value = JsonTest.string(random);
                    values.add(value);
                    pairs.add(encode(name) + "=" + encode(value));
                }
                expected.put(name, values.size() == 1 ? values.get(0) : values);
            }
            assertEquals(expected, Requests.Query.parse(String.join("&", pairs)));
        }
    }

    private static String encode(String text) {
        return URLEncoder.encode(text, StandardCharsets.UTF_8);
    }

    @Test
    void survivesAnyQueryString() {
        Random random = new Random(2);
        for (int i = 0; i < 20_000; i++) {
            StringBuilder query = new StringBuilder();
            for (int k = random.nextInt(12); k > 0; k--) {
                query.append(random.nextInt(3) == 0 ? (char) random.nextInt(0x10000) : "%&=+%a2;".charAt(random.nextInt(8)));
            }
            Requests.Query.parse(query.toString());
        }
    }

    @Test
    void readsParameters() throws Exception {
        Map<String, Object> raw = Map.of("limit", "10", "cool", "yes");
        var parameters = Requests.parameters("{\"path\":{\"id\":9223372036854775807},\"query\":{\"limit\":10},\"form\":null}", raw);
        assertEquals(Map.of("id", Long.MAX_VALUE), parameters.get("path"));
        assertEquals(Map.of("limit", 10L, "cool", "yes"), parameters.get("query"));
        assertEquals(Map.of(), parameters.get("body"));
        assertEquals(raw, Requests.parameters(null, raw).get("query"));
        assertThrows(Json.SyntaxException.class, () -> Requests.parameters("{\"path\":[]}", raw));
    }

    /** As Jetty gives them, UTF-8 comes a byte a char; escapes mean the same. */
    @Test
    void readsParametersInAsciiAndUtf8() throws Exception {
        Random random = new Random(3);
        for (int i = 0; i < 2000; i++) {
            Map<String, Object> query = JsonTest.object(random, 1);
            byte[] json = Mapper.write(Map.of("query", query));
            String utf8 = new String(json, StandardCharsets.ISO_8859_1);
            StringBuilder ascii = new StringBuilder();
            for (char c : new String(json, StandardCharsets.UTF_8).toCharArray()) {
                ascii.append(c < 0x80 ? String.valueOf(c) : String.format("\\u%04x", (int) c));
            }
            assertEquals(query, Requests.parameters(utf8, Map.of()).get("query"));
            assertEquals(query, Requests.parameters(ascii.toString(), Map.of()).get("query"));
        }
    }

    @Test
    void survivesAnyParameters() {
        Random random = new Random(4);
        int read = 0;
        for (int i = 0; i < 20_000; i++) {
            byte[] json = Mapper.write(Map.of("query", JsonTest.object(random, 1), "path", Map.of()));
            json[random.nextInt(json.length)] = (byte) random.nextInt(256);
            try {
                Requests.parameters(new String(json, StandardCharsets.ISO_8859_1), Map.of());
                read++;
            } catch (Json.SyntaxException e) {
                // as it should be
            }
        }
        assertTrue(read > 0 && read < 20_000);
    }
}
