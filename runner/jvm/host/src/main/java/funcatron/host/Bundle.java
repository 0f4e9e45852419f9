package funcatron.host;

import java.io.IOException;
import java.io.InputStream;
import java.lang.reflect.InvocationTargetException;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.function.BiFunction;
import java.util.function.Function;
import java.util.jar.JarEntry;
import java.util.jar.JarFile;
import java.util.logging.Logger;

/**
 * A loaded jar. We share no class with it but the JDK's: its funcatron.intf is its own, and
 * may be another than ours.
 */
final class Bundle {
    private static final String DOOR = "funcatron.intf.impl.ContextImpl";

    private final URLClassLoader base;
    private final Function<String, BiFunction<Map<Object, Object>, Logger, Object>> operations;
    private final Logger logger;
    private final ClassLoader loader;

    private Bundle(
            URLClassLoader base, Function<String, BiFunction<Map<Object, Object>, Logger, Object>> operations, Logger logger) {
        this.base = base;
        this.operations = operations;
        this.logger = logger;
        this.loader = ask("getClassloader", null) instanceof ClassLoader layered ? layered : base;
    }

    static Bundle load(Path jar, Settings settings, Logger logger) throws Throwable {
        URLClassLoader base = new URLClassLoader(classPath(jar), ClassLoader.getPlatformClassLoader());
        Thread.currentThread().setContextClassLoader(base);
        return new Bundle(base, enter(base, settings.properties(), logger), logger);
    }

    @SuppressWarnings("unchecked") // the contract says what it returns
    private static Function<String, BiFunction<Map<Object, Object>, Logger, Object>> enter(
            ClassLoader loader, Map<String, Object> properties, Logger logger) throws Throwable {
        try {
            return (Function<String, BiFunction<Map<Object, Object>, Logger, Object>>) Class.forName(DOOR, true, loader)
                    .getMethod("initContext", Map.class, ClassLoader.class, Logger.class)
                    .invoke(null, properties, loader, logger);
        } catch (ClassNotFoundException e) {
            throw new UnservableException("the jar has no class " + DOOR + ": it is to be built with org.funcatron:funcatron-intf", e);
        } catch (NoSuchMethodException e) {
            throw new UnservableException("the jar's " + DOOR + " is none that this program knows: " + e.getMessage(), e);
        } catch (InvocationTargetException e) {
            throw e.getCause();
        }
    }

    /** The jar itself, or, of a Spring Boot jar, what is nested in it, which a URLClassLoader cannot read there. */
    private static URL[] classPath(Path jar) throws UnservableException {
        try (JarFile file = new JarFile(jar.toFile(), false)) {
            if (file.getEntry("BOOT-INF/") == null && file.getEntry("BOOT-INF/classes/") == null) {
                return new URL[] {jar.toUri().toURL()};
            }
            return unnest(file, Files.createTempDirectory("bundle"));
        } catch (IOException e) {
            throw new UnservableException("open " + jar.getFileName() + ": " + e.getMessage(), e);
        }
    }

    private static URL[] unnest(JarFile file, Path dir) throws IOException {
        List<URL> urls = new ArrayList<>();
        urls.add(Files.createDirectories(dir.resolve("BOOT-INF/classes")).toUri().toURL());
        for (JarEntry entry : file.stream().toList()) {
            boolean library = entry.getName().startsWith("BOOT-INF/lib/");
            if (entry.isDirectory() || !library && !entry.getName().startsWith("BOOT-INF/classes/")) {
                continue;
            }
            Path path = dir.resolve(entry.getName()).normalize();
            if (!path.startsWith(dir)) {
                throw new IOException("entry " + entry.getName() + " is outside the jar");
            }
            Files.createDirectories(path.getParent());
            try (InputStream in = file.getInputStream(entry)) {
                Files.copy(in, path);
            }
            if (library) {
                urls.add(path.toUri().toURL());
            }
        }
        return urls.toArray(URL[]::new);
    }

    /** The loader of functions: the context class loader while anything of the bundle runs. */
    ClassLoader loader() {
        return loader;
    }

    /** Asks for an operation; null where the bundle has none of that name. */
    Object ask(String operation, Map<Object, Object> argument) {
        BiFunction<Map<Object, Object>, Logger, Object> f = operations.apply(operation);
        return f == null ? null : f.apply(argument, logger);
    }

    void end() throws IOException {
        Thread.currentThread().setContextClassLoader(loader);
        ask("endLife", null);
        base.close();
    }
}
