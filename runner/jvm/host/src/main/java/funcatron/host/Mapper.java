package funcatron.host;

import com.fasterxml.jackson.annotation.JsonFormat;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.MapperFeature;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.datatype.jdk8.Jdk8Module;
import com.fasterxml.jackson.datatype.jsr310.JavaTimeModule;
import java.io.IOException;
import java.io.InputStream;
import java.lang.reflect.Type;
import java.util.Date;
import java.util.List;
import java.util.Map;

/** Bodies from and to JSON, by Jackson's data binding: what functions get that bring no decoder of their own. */
final class Mapper {
    private static final ObjectMapper MAPPER = JsonMapper.builder(Json.FACTORY)
            .addModules(new JavaTimeModule(), new Jdk8Module())
            .disable(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES) // the Swagger document says what may be there
            .disable(DeserializationFeature.ACCEPT_FLOAT_AS_INT) // 1.5 is no integer
            .disable(MapperFeature.ALLOW_COERCION_OF_SCALARS) // and "1" none either
            .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
            .disable(SerializationFeature.WRITE_DATES_AS_TIMESTAMPS)
            .withConfigOverride(Date.class, o -> o.setFormat(JsonFormat.Value.forShape(JsonFormat.Shape.NUMBER))) // as ever
            .build();

    private Mapper() {}

    /** Has Jackson's classes loaded while the bundle is. It returns at once. */
    static void warmUp() {
        Thread thread = new Thread(() -> {
            read(new java.io.ByteArrayInputStream("{}".getBytes(java.nio.charset.StandardCharsets.UTF_8)), Map.class);
            write(List.of(Map.of("a", 1L)));
        }, "warm-up");
        thread.setDaemon(true);
        thread.start();
    }

    /** A body that is not JSON, or not of the type that is wanted. A class of the JDK's to the bundle. */
    static final class BodyException extends IllegalArgumentException {
        BodyException(String message) {
            super(message);
        }
    }

    static Object read(InputStream in, Type type) {
        try {
            return MAPPER.readValue(in, MAPPER.constructType(type));
        } catch (JsonProcessingException e) {
            throw new BodyException(e.getOriginalMessage());
        } catch (IOException e) {
            throw new BodyException(e.getMessage());
        }
    }

    static byte[] write(Object value) {
        try {
            return MAPPER.writeValueAsBytes(value);
        } catch (JsonProcessingException e) {
            throw new IllegalStateException("write " + value.getClass().getName() + " as JSON: " + e.getOriginalMessage(), e);
        }
    }
}
