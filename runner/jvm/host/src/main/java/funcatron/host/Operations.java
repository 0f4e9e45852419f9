package funcatron.host;

import java.io.InputStream;
import java.lang.reflect.Type;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.BiFunction;
import java.util.function.Function;

/** The functions of a bundle by their operationId. Once made, all are there. */
final class Operations {
    private static final List<String> METHODS = List.of("get", "put", "post", "delete", "options", "head", "patch");

    /**
     * One operation.
     *
     * @param swagger its object in the document
     * @param function takes the body, or null, and the request, and gives the answer
     */
    record Operation(
            String id, Map<String, Object> swagger, BiFunction<InputStream, Map<Object, Object>, Map<Object, Object>> function) {}

    private final Map<String, Operation> byId = new HashMap<>(); // never changes

    private Operations() {}

    /** The operation of that id, or null. */
    Operation get(String id) {
        return byId.get(id);
    }

    /** @throws UnservableException names every operation that has no function */
    static Operations of(Bundle bundle, Map<String, Object> document) throws UnservableException {
        Operations operations = new Operations();
        StringBuilder wrong = new StringBuilder();
        Map<Object, Object> codecs = codecs(bundle);
        named(document).forEach((id, swagger) -> {
            try {
                operations.byId.put(id, new Operation(id, swagger, dispatcher(bundle, id, swagger, codecs)));
            } catch (RuntimeException | LinkageError e) {
                wrong.append("\n  ").append(id).append(": ").append(e.getMessage() == null ? e.toString() : e.getMessage());
            }
        });
        if (!wrong.isEmpty()) {
            throw new UnservableException("these operations of the Swagger document cannot be served:" + wrong);
        }
        return operations;
    }

    /** The operations by id; of several with one id, the first. One without goes by its method and path. */
    private static Map<String, Map<String, Object>> named(Map<String, Object> document) {
        Map<String, Map<String, Object>> named = new TreeMap<>();
        object(document.get("paths")).forEach((path, item) -> {
            Map<String, Object> methods = resolve(document, object(item));
            for (String method : METHODS) {
                if (path.startsWith("/") && methods.get(method) instanceof Map<?, ?> operation) {
                    String id = operation.get("operationId") instanceof String s && !s.isEmpty()
                            ? s : method.toUpperCase(java.util.Locale.ROOT) + " " + path;
                    named.putIfAbsent(id, object(operation));
                }
            }
        });
        return named;
    }

    /** A path item may refer to another place of the document. */
    private static Map<String, Object> resolve(Map<String, Object> document, Map<String, Object> item) {
        if (!(item.get("$ref") instanceof String ref) || !ref.startsWith("#/")) {
            return item;
        }
        Object at = document;
        for (String name : ref.substring(2).split("/")) {
            at = object(at).get(name.replace("~1", "/").replace("~0", "~"));
        }
        return object(at);
    }

    @SuppressWarnings("unchecked") // JSON objects have names
    private static Map<String, Object> object(Object value) {
        return value instanceof Map<?, ?> map ? (Map<String, Object>) map : Map.of();
    }

    @SuppressWarnings("unchecked") // the contract says what it returns
    private static BiFunction<InputStream, Map<Object, Object>, Map<Object, Object>> dispatcher(
            Bundle bundle, String id, Map<String, Object> swagger, Map<Object, Object> codecs) {
        Map<Object, Object> operation = new HashMap<>(swagger);
        operation.putAll(codecs);
        operation.put("$operationId", id);
        Object function = bundle.ask("dispatcherFor", operation);
        if (function == null) {
            throw new IllegalArgumentException("the bundle has no function for it");
        }
        operation.put("function", function);
        Object wrapped = bundle.ask("wrapWithMiddleware", operation);
        return (BiFunction<InputStream, Map<Object, Object>, Map<Object, Object>>) (wrapped == null ? function : wrapped);
    }

    /** How bodies are read and written: by the bundle where it says how, else by us. */
    @SuppressWarnings("unchecked") // the contract says what they are
    private static Map<Object, Object> codecs(Bundle bundle) {
        Map<Object, Object> codecs = new HashMap<>();
        Function<Object, byte[]> serializer = Mapper::write;
        if (bundle.ask("getSerializer", null) instanceof BiFunction<?, ?, ?> own) {
            serializer = value -> ((BiFunction<Object, String, byte[]>) own).apply(value, "application/json");
        }
        BiFunction<InputStream, Class<?>, Object> deserializer = Mapper::read;
        if (bundle.ask("getDeserializer", null) instanceof BiFunction<?, ?, ?> own) {
            deserializer = (in, type) ->
                    ((BiFunction<InputStream, List<Object>, Object>) own).apply(in, List.of("application/json", type));
        } else {
            BiFunction<InputStream, Type, Object> ofTypes = Mapper::read; // ours alone: it knows members' types
            codecs.put("$typeDeserializer", ofTypes);
        }
        codecs.put("$serializer", serializer);
        codecs.put("$deserializer", deserializer);
        return codecs;
    }
}
