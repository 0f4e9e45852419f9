package funcatron.intf.impl;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.lang.reflect.Type;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;
import java.util.function.BiFunction;
import java.util.function.Function;
import java.util.logging.Logger;

/** What a Runner does with a bundle, the class path being the bundle. */
final class TestRunner {
    static final String REQ = "db9d00abf61d9c67f4f0e755e96b8d0e";

    final Logger logger = Logger.getAnonymousLogger();
    private final ObjectMapper json = new ObjectMapper();
    private final Function<String, BiFunction<Map<Object, Object>, Logger, Object>> operations;

    TestRunner(Map<String, Object> properties) {
        this(properties, TestRunner.class.getClassLoader());
    }

    TestRunner(Map<String, Object> properties, ClassLoader loader) {
        logger.setUseParentHandlers(false);
        operations = ContextImpl.initContext(properties, loader, logger);
    }

    Object ask(String operation, Map<Object, Object> argument) {
        return operations.apply(operation).apply(argument, logger);
    }

    BiFunction<Map<Object, Object>, Logger, Object> operation(String name) {
        return operations.apply(name);
    }

    void end() {
        ask("endLife", null);
    }

    @SuppressWarnings("unchecked")
    BiFunction<InputStream, Map<Object, Object>, Map<Object, Object>> dispatcher(String operationId) {
        BiFunction<InputStream, Class<?>, Object> deserializer = (in, type) -> read(in, type);
        BiFunction<InputStream, Type, Object> typeDeserializer = this::read;
        Function<Object, byte[]> serializer = value -> {
            try {
                return json.writeValueAsBytes(value);
            } catch (JsonProcessingException e) {
                throw new UncheckedIOException(e);
            }
        };
        Map<Object, Object> operation = new HashMap<>(Map.of(
                "$operationId", operationId, "$deserializer", deserializer, "$typeDeserializer", typeDeserializer,
                "$serializer", serializer));
        return (BiFunction<InputStream, Map<Object, Object>, Map<Object, Object>>) ask("dispatcherFor", operation);
    }

    private Object read(InputStream in, Type type) {
        try {
            return json.readValue(in, json.constructType(type));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** @param body null is none */
    Reply call(Class<?> function, String method, String contentType, String body, Map<String, Object> more) {
        Map<Object, Object> request = request(method, contentType);
        request.putAll(more);
        InputStream in = body == null ? null : new ByteArrayInputStream(body.getBytes(StandardCharsets.UTF_8));
        return new Reply(dispatcher(function.getName()).apply(in, request));
    }

    Reply call(Class<?> function, String method) {
        return call(function, method, null, null, Map.of());
    }

    static Map<Object, Object> request(String method, String contentType) {
        Map<String, Object> headers = new HashMap<>(Map.of(
                "x-request-id", REQ, "x-funcatron-operation", "op", "traceparent", "00-" + REQ + "-b7ad6b7169203331-01"));
        if (contentType != null) {
            headers.put("content-type", contentType);
        }
        return new HashMap<>(Map.of("request-method", method, "uri", "/x", "headers", headers));
    }

    record Reply(Map<Object, Object> map) {
        int status() {
            return (Integer) map.get("status");
        }

        Object header(String name) {
            return ((Map<?, ?>) map.get("headers")).get(name);
        }

        /** The body as text; null where there is none. */
        String body() {
            Object body = map.get("body");
            if (body == null) {
                return null;
            }
            try {
                byte[] bytes = body instanceof InputStream in ? in.readAllBytes() : (byte[]) body;
                return new String(bytes, StandardCharsets.UTF_8);
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }
    }
}
