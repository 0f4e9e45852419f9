package funcatron.host;

import java.io.File;
import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.jar.JarEntry;
import java.util.jar.JarFile;
import java.util.jar.JarOutputStream;
import java.util.stream.Stream;
import javax.tools.JavaCompiler;
import javax.tools.ToolProvider;

/** Makes jars of Java sources. */
final class TestBundle {
    private final Path dir;
    private final Path sources;
    private final Path classes;
    private final List<Path> jars = new ArrayList<>();

    TestBundle(Path dir) throws IOException {
        this.dir = Files.createDirectories(dir);
        this.sources = Files.createDirectories(dir.resolve("src"));
        this.classes = Files.createDirectories(dir.resolve("classes"));
    }

    /** Adds funcatron-intf and what that brings. */
    TestBundle withIntf() {
        for (String entry : System.getProperty("java.class.path").split(File.pathSeparator)) {
            // In the reactor's package phase it is the jar, as it is for users.
            if (entry.matches(".*(funcatron-intf|HikariCP|slf4j-api|slf4j-jdk14|intf/target/classes).*")) {
                jars.add(Path.of(entry));
            }
        }
        return this;
    }

    TestBundle source(String name, String text) throws IOException {
        return write(sources.resolve(name.replace('.', '/') + ".java"), text);
    }

    TestBundle resource(String name, String text) throws IOException {
        return write(classes.resolve(name), text);
    }

    private TestBundle write(Path path, String text) throws IOException {
        Files.createDirectories(path.getParent());
        Files.writeString(path, text);
        return this;
    }

    /** Everything in one jar, as shade makes it. */
    Path uberjar() throws IOException {
        compile();
        Path jar = dir.resolve("bundle.jar");
        try (JarOutputStream out = new JarOutputStream(Files.newOutputStream(jar))) {
            Set<String> names = new TreeSet<>();
            addFolder(out, classes, "", names);
            for (Path library : jars) {
                if (Files.isDirectory(library)) {
                    addFolder(out, library, "", names);
                } else {
                    addJar(out, library, names);
                }
            }
        }
        return jar;
    }

    /** Everything nested, as Spring Boot packages it. */
    Path bootJar() throws IOException {
        compile();
        Path jar = dir.resolve("boot.jar");
        try (JarOutputStream out = new JarOutputStream(Files.newOutputStream(jar))) {
            Set<String> names = new TreeSet<>();
            out.putNextEntry(new JarEntry("BOOT-INF/"));
            out.putNextEntry(new JarEntry("BOOT-INF/classes/"));
            addFolder(out, classes, "BOOT-INF/classes/", names);
            for (Path library : jars) {
                Path file = Files.isDirectory(library) ? new TestBundle(dir.resolve("lib")).and(library).uberjar() : library;
                out.putNextEntry(new JarEntry("BOOT-INF/lib/" + file.getFileName()));
                Files.copy(file, out);
            }
        }
        return jar;
    }

    private TestBundle and(Path library) {
        jars.add(library);
        return this;
    }

    private void compile() throws IOException {
        List<String> options = new ArrayList<>(List.of("-d", classes.toString(), "-proc:none"));
        if (!jars.isEmpty()) {
            options.addAll(List.of("-cp", String.join(File.pathSeparator, jars.stream().map(Path::toString).toList())));
        }
        JavaCompiler compiler = ToolProvider.getSystemJavaCompiler();
        try (Stream<Path> files = Files.walk(sources);
                var manager = compiler.getStandardFileManager(null, null, null)) {
            List<Path> all = files.filter(Files::isRegularFile).toList();
            if (!all.isEmpty() && !compiler.getTask(null, manager, null, options, null, manager.getJavaFileObjectsFromPaths(all)).call()) {
                throw new IllegalStateException("the test's bundle does not compile");
            }
        }
    }

    private static void addFolder(JarOutputStream out, Path folder, String prefix, Set<String> names) throws IOException {
        try (Stream<Path> files = Files.walk(folder)) {
            files.filter(Files::isRegularFile).forEach(file -> {
                try (var in = Files.newInputStream(file)) {
                    add(out, prefix + folder.relativize(file), in, names);
                } catch (IOException e) {
                    throw new UncheckedIOException(e);
                }
            });
        }
    }

    private static void addJar(JarOutputStream out, Path jar, Set<String> names) throws IOException {
        try (JarFile file = new JarFile(jar.toFile())) {
            for (JarEntry entry : file.stream().filter(e -> !e.isDirectory()).toList()) {
                try (var in = file.getInputStream(entry)) {
                    add(out, entry.getName(), in, names);
                }
            }
        }
    }

    private static void add(OutputStream out, String name, java.io.InputStream in, Set<String> names) throws IOException {
        if (names.add(name) && !name.equals("module-info.class") && !name.equals("META-INF/MANIFEST.MF")) {
            ((JarOutputStream) out).putNextEntry(new JarEntry(name));
            in.transferTo(out);
        }
    }
}
