package funcatron.host;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonFactoryBuilder;
import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.core.io.JsonEOFException;
import com.fasterxml.jackson.core.json.JsonReadFeature;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * JSON as maps, lists, strings, booleans and numbers: integers are a Long, or a BigInteger
 * where that has no room, others a Double. It does without Jackson's data binding, whose
 * start takes as long as all else together.
 */
final class Json {
    /** Shared with {@link Mapper}. The gateway has bounded what comes from outside, in bytes. */
    static final JsonFactory FACTORY = new JsonFactoryBuilder()
            .enable(JsonReadFeature.ALLOW_SINGLE_QUOTES)
            .streamReadConstraints(StreamReadConstraints.builder().maxStringLength(Integer.MAX_VALUE).build())
            .build()
            .enable(JsonGenerator.Feature.COMBINE_UNICODE_SURROGATES_IN_UTF8); // four bytes, not twelve

    private Json() {}

    /** JSON that is not what it should be. */
    static final class SyntaxException extends IOException {
        SyntaxException(String message) {
            super(message);
        }
    }

    static Map<String, Object> object(byte[] json) throws SyntaxException {
        return object(() -> FACTORY.createParser(json));
    }

    static Map<String, Object> object(String json) throws SyntaxException {
        return object(() -> FACTORY.createParser(json));
    }

    private interface Opening {
        JsonParser open() throws IOException;
    }

    private static Map<String, Object> object(Opening opening) throws SyntaxException {
        try (JsonParser p = opening.open()) {
            if (p.nextToken() != JsonToken.START_OBJECT) {
                throw new SyntaxException("it is no JSON object");
            }
            Map<String, Object> object = members(p);
            if (p.nextToken() != null) {
                throw new SyntaxException("more follows after the JSON object");
            }
            return object;
        } catch (SyntaxException e) {
            throw e;
        } catch (JsonEOFException e) {
            throw new SyntaxException("it ends too early");
        } catch (JsonProcessingException e) {
            throw new SyntaxException(e.getOriginalMessage());
        } catch (IOException e) { // bytes that are no UTF-8
            throw new SyntaxException(e.getMessage());
        }
    }

    private static Map<String, Object> members(JsonParser p) throws IOException {
        Map<String, Object> members = new LinkedHashMap<>();
        while (p.nextToken() != JsonToken.END_OBJECT) {
            String name = p.currentName();
            p.nextToken();
            members.put(name, value(p));
        }
        return members;
    }

    private static List<Object> elements(JsonParser p) throws IOException {
        List<Object> elements = new ArrayList<>();
        while (p.nextToken() != JsonToken.END_ARRAY) {
            elements.add(value(p));
        }
        return elements;
    }

    private static Object value(JsonParser p) throws IOException {
        return switch (p.currentToken()) {
            case START_OBJECT -> members(p);
            case START_ARRAY -> elements(p);
            case VALUE_STRING -> p.getText();
            case VALUE_NUMBER_INT -> p.getNumberType() == JsonParser.NumberType.BIG_INTEGER ? p.getBigIntegerValue() : (Object) p.getLongValue();
            case VALUE_NUMBER_FLOAT -> p.getDoubleValue();
            case VALUE_TRUE -> Boolean.TRUE;
            case VALUE_FALSE -> Boolean.FALSE;
            case VALUE_NULL -> null;
            default -> throw new SyntaxException("unexpected " + p.currentToken());
        };
    }

    /** Writes an object of strings and integers. Half a surrogate pair, which UTF-8 has no form for, is a question mark. */
    static byte[] write(Map<String, Object> members) {
        ByteArrayOutputStream out = new ByteArrayOutputStream(256);
        try (JsonGenerator g = FACTORY.createGenerator(out)) {
            g.writeStartObject();
            for (Map.Entry<String, Object> m : members.entrySet()) {
                g.writeFieldName(m.getKey());
                if (m.getValue() instanceof Number n) {
                    g.writeNumber(n.longValue());
                } else {
                    g.writeString(wellFormed((String) m.getValue()));
                }
            }
            g.writeEndObject();
        } catch (IOException e) {
            throw new UncheckedIOException("BUG: a map is not JSON", e);
        }
        return out.toByteArray();
    }

    private static String wellFormed(String text) {
        for (int i = 0; i < text.length(); i++) {
            if (Character.isSurrogate(text.charAt(i))) { // rare: then let the JDK's encoder decide
                return new String(text.getBytes(java.nio.charset.StandardCharsets.UTF_8), java.nio.charset.StandardCharsets.UTF_8);
            }
        }
        return text;
    }
}
