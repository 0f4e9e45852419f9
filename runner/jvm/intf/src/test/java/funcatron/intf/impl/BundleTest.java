package funcatron.intf.impl;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotSame;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import funcatron.intf.ClassloaderProvider;
import funcatron.intf.MiddlewareProvider;
import funcatron.intf.OperationProvider;
import funcatron.intf.StatusException;
import java.io.IOException;
import java.io.InputStream;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.BiFunction;
import java.util.function.Function;
import java.util.logging.Logger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class BundleTest {
    @TempDir
    Path dir;

    static final List<String> log = new ArrayList<>();

    /** A loader whose jar has those files. */
    private URLClassLoader jarWith(Map<String, String> files) throws IOException {
        for (var file : files.entrySet()) {
            Path path = dir.resolve(file.getKey());
            Files.createDirectories(path.getParent());
            Files.writeString(path, file.getValue());
        }
        return new URLClassLoader(new URL[] {dir.toUri().toURL()}, BundleTest.class.getClassLoader());
    }

    @Test
    void hasTheOperationsOfTheContract() throws IOException {
        try (URLClassLoader loader = jarWith(Map.of("funcatron.yaml", "swagger: '2.0'\n"))) {
            TestRunner runner = new TestRunner(Map.of(), loader);
            assertEquals(
                    Set.of("operations", "getClassloader", "getSwagger", "getVersion", "dispatcherFor", "getSerializer",
                            "getDeserializer", "wrapWithMiddleware", "endLife"),
                    runner.ask("operations", null));
            assertSame(loader, runner.ask("getClassloader", null));
            assertEquals(Map.of("type", "yaml", "swagger", "swagger: '2.0'\n"), runner.ask("getSwagger", null));
            assertNull(runner.ask("getSerializer", null));
            assertNull(runner.operation("no such thing"));
            String pom = Files.readString(Path.of("pom.xml"));
            assertTrue(pom.contains("<version>" + runner.ask("getVersion", null) + "</version>"), "the pom has another version");
        }
    }

    @Test
    void saysThatThereIsNoDocument() {
        assertThrows(IllegalStateException.class, () -> new TestRunner(Map.of()).ask("getSwagger", null));
    }

    public static class Inner implements MiddlewareProvider {
        @Override
        public int order() {
            return 10;
        }

        @Override
        public BiFunction<InputStream, Map<Object, Object>, Map<Object, Object>> wrap(
                BiFunction<InputStream, Map<Object, Object>, Map<Object, Object>> function) {
            return (in, request) -> {
                log.add("inner");
                return function.apply(in, request);
            };
        }
    }

    public static class Outer implements MiddlewareProvider {
        @Override
        public BiFunction<InputStream, Map<Object, Object>, Map<Object, Object>> wrap(
                BiFunction<InputStream, Map<Object, Object>, Map<Object, Object>> function) {
            return (in, request) -> {
                log.add("outer");
                if (request.containsKey("refuse")) {
                    throw new StatusException(401, "who are you?");
                }
                return function.apply(in, request);
            };
        }
    }

    @Test
    @SuppressWarnings("unchecked")
    void wrapsWithMiddleware() throws IOException {
        log.clear();
        try (URLClassLoader loader = jarWith(Map.of(
                "META-INF/services/" + MiddlewareProvider.class.getName(), Outer.class.getName() + "\n" + Inner.class.getName()))) {
            TestRunner runner = new TestRunner(Map.of(), loader);
            BiFunction<InputStream, Map<Object, Object>, Map<Object, Object>> function = (in, request) -> {
                log.add("function");
                return Map.of("status", 299);
            };
            var wrapped = (BiFunction<InputStream, Map<Object, Object>, Map<Object, Object>>)
                    runner.ask("wrapWithMiddleware", Map.of("function", function));
            assertEquals(299, wrapped.apply(null, Map.of()).get("status"));
            assertEquals(List.of("outer", "inner", "function"), log);
            Map<Object, Object> request = TestRunner.request("get", null);
            request.put("refuse", true);
            DispatcherTest.assertProblem(new TestRunner.Reply(wrapped.apply(null, request)), 401, "who are you?");
        }
    }

    public static class Adds implements OperationProvider {
        @Override
        public void installOperation(
                BiFunction<String, BiFunction<Map<Object, Object>, Logger, Object>, Void> addOperation,
                Function<String, BiFunction<Map<Object, Object>, Logger, Object>> getOperation,
                Function<Function<Logger, Void>, Void> addEndOfLife,
                ClassLoader loader,
                Logger logger) {
            var version = getOperation.apply("getVersion");
            addOperation.apply("getVersion", (map, log) -> version.apply(map, log) + "+");
            addOperation.apply("mine", (map, log) -> loader);
            addEndOfLife.apply(l -> {
                log.add("end of operation");
                return null;
            });
        }
    }

    public static class Layers implements ClassloaderProvider {
        @Override
        public ClassLoader buildFrom(ClassLoader loader, Function<Function<Logger, Void>, Void> addEndOfLife, Logger logger) {
            addEndOfLife.apply(l -> {
                log.add("end of loader");
                throw new IllegalStateException("on purpose");
            });
            return new URLClassLoader(new URL[0], loader);
        }
    }

    @Test
    void installsOperationsAndClassLoaders() throws IOException {
        log.clear();
        try (URLClassLoader loader = jarWith(Map.of(
                "META-INF/services/" + OperationProvider.class.getName(), Adds.class.getName(),
                "META-INF/services/" + ClassloaderProvider.class.getName(), Layers.class.getName()))) {
            TestRunner runner = new TestRunner(Map.of(), loader);
            assertTrue(((String) runner.ask("getVersion", null)).endsWith("+"));
            assertNotSame(loader, runner.ask("getClassloader", null));
            assertSame(loader, ((ClassLoader) runner.ask("getClassloader", null)).getParent());
            assertSame(runner.ask("getClassloader", null), runner.ask("mine", null));
            runner.end();
            runner.end(); // harmless
            assertEquals(List.of("end of operation", "end of loader"), log);
        }
    }
}
