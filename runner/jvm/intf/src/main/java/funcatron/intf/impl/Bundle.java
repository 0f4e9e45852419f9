package funcatron.intf.impl;

import funcatron.intf.ClassloaderProvider;
import funcatron.intf.MiddlewareProvider;
import funcatron.intf.OperationProvider;
import funcatron.intf.OrderedProvider;
import funcatron.intf.StatusException;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayDeque;
import java.util.Comparator;
import java.util.Deque;
import java.util.List;
import java.util.Map;
import java.util.ServiceLoader;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.BiFunction;
import java.util.function.Function;
import java.util.logging.Level;
import java.util.logging.Logger;

/** The operations of one loaded bundle, which are all that a Runner sees of it. */
final class Bundle {
    private static final String VERSION = "1.0.0"; // the artifact's

    private final Map<String, BiFunction<Map<Object, Object>, Logger, Object>> operations = new ConcurrentHashMap<>();
    private final Deque<Function<Logger, Void>> ends = new ArrayDeque<>(); // guarded by itself
    private final Map<String, Object> properties;
    private final ClassLoader loader;
    private final Services services;
    private final List<MiddlewareProvider> middleware;

    Bundle(Map<String, Object> properties, ClassLoader base, Logger logger) {
        this.properties = properties;
        ClassLoader layered = base;
        for (ClassloaderProvider provider : providers(ClassloaderProvider.class, base)) {
            layered = provider.buildFrom(layered, this::atEnd, logger);
        }
        loader = layered;
        services = new Services(properties, loader, logger);
        middleware = providers(MiddlewareProvider.class, loader);
        addOperations();
        for (OperationProvider provider : providers(OperationProvider.class, loader)) {
            provider.installOperation(this::add, this::operation, this::atEnd, loader, logger);
        }
    }

    private static <P extends OrderedProvider> List<P> providers(Class<P> type, ClassLoader loader) {
        return ServiceLoader.load(type, loader).stream()
                .map(ServiceLoader.Provider::get)
                .sorted(Comparator.comparingInt((P p) -> p.order()).reversed())
                .toList();
    }

    private void addOperations() {
        add("operations", (none, log) -> Set.copyOf(operations.keySet()));
        add("getClassloader", (none, log) -> loader);
        add("getSwagger", (none, log) -> swagger());
        add("getVersion", (none, log) -> VERSION);
        add("dispatcherFor", (operation, log) -> new Dispatcher(operation, loader, properties, services, log));
        add("getSerializer", (none, log) -> null); // the Runner's serves
        add("getDeserializer", (none, log) -> null);
        add("wrapWithMiddleware", (map, log) -> wrap(map.get("function"), log));
        add("endLife", (none, log) -> {
            end(log);
            return null;
        });
    }

    BiFunction<Map<Object, Object>, Logger, Object> operation(String name) {
        return operations.get(name);
    }

    private Void add(String name, BiFunction<Map<Object, Object>, Logger, Object> operation) {
        operations.put(name, operation);
        return null;
    }

    private Void atEnd(Function<Logger, Void> end) {
        synchronized (ends) {
            ends.push(end);
        }
        return null;
    }

    private Map<String, Object> swagger() {
        for (String name : List.of("funcatron.yaml", "funcatron.yml", "funcatron.json")) {
            try (InputStream in = loader.getResourceAsStream(name)) {
                if (in != null) {
                    String text = new String(in.readAllBytes(), StandardCharsets.UTF_8);
                    return Map.of("type", name.endsWith("json") ? "json" : "yaml", "swagger", text);
                }
            } catch (IOException e) {
                throw new UncheckedIOException("read " + name, e);
            }
        }
        throw new IllegalStateException("the jar has no funcatron.yaml, funcatron.yml or funcatron.json at its root");
    }

    @SuppressWarnings("unchecked") // the contract says what it is
    private Object wrap(Object function, Logger logger) {
        var wrapped = (BiFunction<InputStream, Map<Object, Object>, Map<Object, Object>>) function;
        for (MiddlewareProvider provider : middleware) {
            wrapped = provider.wrap(wrapped);
        }
        if (middleware.isEmpty()) {
            return wrapped;
        }
        var outermost = wrapped;
        return (BiFunction<InputStream, Map<Object, Object>, Map<Object, Object>>) (body, request) -> {
            try {
                return outermost.apply(body, request);
            } catch (StatusException e) {
                return Problem.answer(e, new ContextImpl(request, logger));
            }
        };
    }

    /** Runs each end, the last first, whatever becomes of the others; then the services end. */
    private void end(Logger logger) {
        synchronized (ends) {
            while (!ends.isEmpty()) {
                try {
                    ends.pop().apply(logger);
                } catch (RuntimeException e) {
                    logger.log(Level.SEVERE, "end of life", e);
                }
            }
        }
        services.end(logger);
    }
}
