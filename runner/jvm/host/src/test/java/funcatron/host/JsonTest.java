package funcatron.host;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.math.BigInteger;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;

class JsonTest {
    @Test
    void readsValues() throws Exception {
        var object = Json.object("{'i':-1,'l':9223372036854775807,'b':9223372036854775808,'d':0.1,'e':1e2,'s':'Grüße','t':true,'n':null,'a':[1,{}]}");
        assertEquals(-1L, object.get("i"));
        assertEquals(Long.MAX_VALUE, object.get("l"));
        assertEquals(new BigInteger("9223372036854775808"), object.get("b"));
        assertEquals(0.1, object.get("d"));
        assertEquals(100.0, object.get("e"));
        assertEquals("Grüße", object.get("s"));
        assertEquals(List.of(1L, Map.of()), object.get("a"));
    }

    @Test
    void refusesWhatIsNoObject() {
        for (String bad : new String[] {"", "[]", "1", "{", "{\"a\":}", "{} x", "{\"a\":1,}", "{\"a\":NaN}", "nul", "{\"a\":\"\u0001\"}"}) {
            assertThrows(Json.SyntaxException.class, () -> Json.object(bad), bad);
        }
        assertThrows(Json.SyntaxException.class, () -> Json.object(new byte[] {'{', '"', (byte) 0xff, '"', ':', '1', '}'}));
        assertThrows(Json.SyntaxException.class, () -> Json.object("{\"a\":" + "[".repeat(100_000)));
    }

    /** Whatever Jackson's data binding writes, we read as it was. */
    @Test
    void readsWhatWasWritten() throws Exception {
        Random random = new Random(7);
        for (int i = 0; i < 2000; i++) {
            Map<String, Object> object = object(random, 3);
            byte[] json = Mapper.write(object);
            assertEquals(object, Json.object(json));
            assertEquals(object, Json.object(new String(json, StandardCharsets.UTF_8)));
        }
    }

    /** Whatever comes, there is an object or a SyntaxException. */
    @Test
    void survivesAnything() {
        Random random = new Random(8);
        for (int i = 0; i < 20_000; i++) {
            byte[] json = Mapper.write(object(random, 2));
            for (int k = random.nextInt(4); k >= 0; k--) {
                json[random.nextInt(json.length)] = (byte) (random.nextBoolean() ? random.nextInt(256) : "{}[]\",:'0\\-e.tnu".charAt(random.nextInt(16)));
            }
            try {
                Json.object(json);
            } catch (Json.SyntaxException e) {
                // as it should be
            }
        }
    }

    @Test
    void writesAnyString() throws Exception {
        Random random = new Random(9);
        for (int i = 0; i < 2000; i++) {
            StringBuilder text = new StringBuilder();
            for (int k = random.nextInt(20); k > 0; k--) {
                text.append((char) random.nextInt(0x10000)); // halves of surrogate pairs among them
            }
            String valid = new String(text.toString().getBytes(StandardCharsets.UTF_8), StandardCharsets.UTF_8);
            assertEquals(Map.of("s", valid, "n", (long) i), Json.object(Json.write(Map.of("s", text.toString(), "n", i))));
        }
    }

    static Map<String, Object> object(Random random, int depth) {
        Map<String, Object> object = new LinkedHashMap<>();
        for (int i = random.nextInt(5); i > 0; i--) {
            object.put(string(random), value(random, depth));
        }
        return object;
    }

    private static Object value(Random random, int depth) {
        switch (random.nextInt(depth > 0 ? 8 : 6)) {
            case 0:
                return random.nextLong();
            case 1:
                return new BigInteger(80 + random.nextInt(100), random).setBit(79);
            case 2:
                return random.nextGaussian() * Math.pow(10, random.nextInt(20) - 10);
            case 3:
                return random.nextBoolean();
            case 4:
                return null;
            case 5:
                return string(random);
            case 6:
                List<Object> list = new ArrayList<>();
                for (int i = random.nextInt(4); i > 0; i--) {
                    list.add(value(random, depth - 1));
                }
                return list;
            default:
                return object(random, depth - 1);
        }
    }

    static String string(Random random) {
        StringBuilder text = new StringBuilder();
        for (int i = random.nextInt(8); i > 0; i--) {
            int c = random.nextInt(4) == 0 ? random.nextInt(0x11_0000) : random.nextInt(128);
            text.appendCodePoint(c >= 0xd800 && c < 0xe000 ? '?' : c);
        }
        return text.toString();
    }
}
