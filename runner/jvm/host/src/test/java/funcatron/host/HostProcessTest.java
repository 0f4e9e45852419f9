package funcatron.host;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class HostProcessTest {
    @TempDir
    static Path dir;

    private static Path jar;
    private static HostProcess host; // one for all tests that do it no harm

    /** A function's source: what its apply does. */
    private static String function(String name, String type, String statements) {
        return """
                package t;
                import funcatron.intf.*;
                import java.io.*;
                import java.util.*;
                public class %s implements Func<%s> {
                    public Object apply(%s in, Context c) throws Exception { %s }
                }
                """.formatted(name, type, type, statements);
    }

    @BeforeAll
    static void start() throws IOException {
        jar = new TestBundle(dir.resolve("main")).withIntf()
                .source("t.Echo", function("Echo", "byte[]", "return in;"))
                .source("t.Info", function("Info", "Object", """
                        Map<String, Object> m = new TreeMap<>();
                        for (String k : new String[] {"request-method", "uri", "query-string", "query-params", "scheme", "host",
                                "server-name", "server-port", "remote-addr", "protocol", "parameters"}) m.put(k, c.getRequestInfo().get(k));
                        m.put("loader", String.valueOf(Thread.currentThread().getContextClassLoader() == Info.class.getClassLoader()));
                        m.put("props", c.properties());
                        m.put("operation", c.operation());
                        m.put("left", c.timeLeft().isPresent());
                        m.put("big", 9007199254740993L);
                        return m;"""))
                .source("t.Typed", function("Typed", "List<Typed.Item>", "in.get(0).n++; return in;")
                        .replace("public class Typed", "class Items {}\npublic class Typed")
                        .replace("public Object apply", "public static class Item { public long n; public String s; public double d; }\npublic Object apply"))
                .source("t.Fails", function("Fails", "Object", "throw new IllegalStateException(\"on purpose\", new IOException(\"the cause\"));"))
                .source("t.Stream", function("Stream", "Object", """
                        int n = Integer.parseInt(c.getHeaders().get("x-size").toString());
                        boolean breaks = c.getHeaders().containsKey("x-breaks");
                        return new InputStream() {
                            int at;
                            public int read() throws IOException {
                                if (at == n && breaks) throw new IOException("broken on purpose");
                                return at == n ? -1 : at++ & 0xff;
                            }
                        };"""))
                .source("t.Headers", """
                        package t;
                        import funcatron.intf.*;
                        import java.util.*;
                        public class Headers implements Func<Object> {
                            public Object apply(Object o, Context c) { return "x"; }
                            public Map<String, Object> headers() {
                                return Map.of("X-Many", List.of("a", "b"), "X-Split", "a\\r\\nX-Evil: yes", "Connection", "close", "X-Text", "Grüße");
                            }
                        }
                        """)
                .source("t.Logs", function("Logs", "Object", """
                        System.out.println("plain line");
                        c.getLogger().log(java.util.logging.Level.WARNING, "words {0}", "filled in");
                        c.getLogger().fine("not written");
                        org.slf4j.LoggerFactory.getLogger("a.library").error("by slf4j", new IOException("with a cause"));
                        Thread other = new Thread(() -> c.getLogger().info("other thread 世界 🚀"));
                        other.start(); other.join();
                        c.getLogger().info("\\u00e4".repeat(100_000));
                        return null;"""))
                .source("t.Sleeps", function("Sleeps", "Object", "System.out.println(\"asleep\"); Thread.sleep(Long.parseLong(c.getHeaders().get(\"x-sleep\").toString())); return \"slept\";"))
                .source("t.Hangs", function("Hangs", "Object", "System.out.println(\"hanging\"); while (!new File(c.getHeaders().get(\"x-until\").toString()).exists()) Thread.onSpinWait(); return null;"))
                .source("t.Exits", function("Exits", "Object", "System.exit(7); return null;"))
                .source("t.Middle", """
                        package t;
                        import funcatron.intf.*;
                        import java.io.*;
                        import java.util.*;
                        import java.util.function.*;
                        public class Middle implements MiddlewareProvider {
                            public BiFunction<InputStream, Map<Object, Object>, Map<Object, Object>> wrap(BiFunction<InputStream, Map<Object, Object>, Map<Object, Object>> f) {
                                return (in, request) -> {
                                    if (((Map<?, ?>) request.get("headers")).containsKey("x-refuse")) throw new StatusException(401, "refused");
                                    return f.apply(in, request);
                                };
                            }
                        }
                        """)
                .resource("META-INF/services/funcatron.intf.MiddlewareProvider", "t.Middle")
                .source("t.Ends", """
                        package t;
                        import funcatron.intf.*;
                        import java.util.Map;
                        import java.util.function.*;
                        import java.util.logging.Logger;
                        public class Ends implements OperationProvider {
                            public void installOperation(BiFunction<String, BiFunction<Map<Object, Object>, Logger, Object>, Void> add,
                                    Function<String, BiFunction<Map<Object, Object>, Logger, Object>> get,
                                    Function<Function<Logger, Void>, Void> addEnd, ClassLoader loader, Logger logger) {
                                addEnd.apply(l -> { l.info("end of life"); return null; });
                            }
                        }
                        """)
                .resource("META-INF/services/funcatron.intf.OperationProvider", "t.Ends")
                .uberjar();
        host = all().start();
    }

    private static HostProcess.Builder all() {
        return new HostProcess.Builder(jar).operations("t.Echo", "t.Info", "t.Typed", "t.Fails", "t.Stream", "t.Headers", "t.Logs", "t.Sleeps",
                "t.Hangs", "t.Exits").props("{\"my-prop\":{\"in_ner\":9007199254740993},'key':'value'}");
    }

    @AfterAll
    static void stop() {
        if (host != null) {
            host.close();
        }
    }

    @Test
    void tellsFunctionsOfTheRequest() throws IOException {
        var reply = host.get("t.Info", "X-Funcatron-Timeout-Ms: 30000",
                "X-Funcatron-Params: {\"path\":{\"id\":9223372036854775807},\"query\":{\"limit\":10},\"form\":{\"f\":\"Gr\u00fc\u00dfe\"}}");
        assertEquals(200, reply.status(), reply.text());
        assertEquals("application/json", reply.headers().get("content-type"));
        var info = Json.object(reply.body());
        assertEquals("get", info.get("request-method"));
        assertEquals("/x", info.get("uri"));
        assertEquals("cool=yes", info.get("query-string"));
        assertEquals(Json.object("{'cool':'yes'}"), info.get("query-params"));
        assertEquals(Json.object("{'path':{'id':9223372036854775807},'query':{'cool':'yes','limit':10},'header':{},'body':{'f':'Gr\u00fc\u00dfe'}}"),
                info.get("parameters"));
        assertEquals("example.com", info.get("host"));
        assertEquals(80L, info.get("server-port"));
        assertEquals("HTTP/1.1", info.get("protocol"));
        assertEquals("true", info.get("loader"));
        assertEquals("t.Info", info.get("operation"));
        assertEquals(true, info.get("left"));
        assertEquals(9007199254740993L, info.get("big"));
        assertEquals(Json.object("{'myProp':{'inNer':9007199254740993},'key':'value'}"), info.get("props"));
    }

    @Test
    void readsAndWritesTypedJson() throws IOException {
        String body = "[{'n':9007199254740992,'s':'世界 🚀 \\u0000','d':0.1,'unknown':1}]";
        var reply = host.send("POST", "t.Typed", body.getBytes(StandardCharsets.UTF_8), "Content-Type: application/json");
        assertEquals("[{\"n\":9007199254740993,\"s\":\"世界 🚀 \\u0000\",\"d\":0.1}]", reply.text());
        for (String bad : new String[] {"{}", "[{'n':'x'}]", "[{'n':1.5}]", "[", "[] []", "\u00ff"}) {
            reply = host.send("POST", "t.Typed", bad.getBytes(StandardCharsets.ISO_8859_1), "Content-Type: application/json");
            assertEquals(400, reply.status(), bad);
            assertEquals("application/problem+json", reply.headers().get("content-type"));
            assertEquals(HostProcess.REQ, Json.object(reply.body()).get("requestId"));
        }
    }

    @Test
    void takesAndGivesBytesOfAnySizeOnOneConnection() throws IOException {
        byte[] big = new byte[16 << 20];
        new Random(1).nextBytes(big);
        try (Wire wire = host.connect()) {
            for (byte[] body : new byte[][] {{}, {0}, big, {1, 2}}) {
                assertArrayEquals(body, wire.call("POST", "/", "t.Echo", body).body());
            }
            byte[] some = java.util.Arrays.copyOf(big, 100_000);
            assertArrayEquals(some, wire.call("POST", "/", "t.Echo", some, "Transfer-Encoding: chunked").body());
            assertArrayEquals(new byte[0], wire.call("POST", "/", "t.Echo", new byte[0], "Transfer-Encoding: chunked").body());
        }
    }

    @Test
    void takesHeaderLinesOf8MiB() throws IOException {
        String big = "x".repeat((8 << 20) - 100);
        var reply = host.get("t.Info", "X-Funcatron-Params: {\"form\":{\"f\":\"" + big + "\"}}");
        assertEquals(200, reply.status());
        assertTrue(reply.text().contains(big));
    }

    @Test
    void streamsAnswers() throws IOException {
        for (int size : new int[] {0, 10, 32 << 10, 1 << 20}) {
            var reply = host.get("t.Stream", "X-Size: " + size);
            assertEquals(size, reply.body().length);
            assertEquals(size < 32 << 10, reply.headers().containsKey("content-length"), size + " bytes");
        }
        assertEquals(500, host.get("t.Stream", "X-Size: 10", "X-Breaks: yes").status()); // nothing had left yet
        assertThrows(IOException.class, () -> host.get("t.Stream", "X-Size: 1000000", "X-Breaks: yes"));
        var head = host.send("HEAD", "t.Stream", new byte[0], "X-Size: 10");
        assertEquals("10", head.headers().get("content-length"));
    }

    @Test
    void sendsHeadersAndNothingElseInThem() throws IOException {
        try (Wire wire = host.connect()) {
            var reply = wire.call("GET", "/", "t.Headers", new byte[0]);
            assertEquals("a, b", reply.headers().get("x-many"));
            assertNull(reply.headers().get("x-evil"));
            assertNull(reply.headers().get("connection"));
            assertEquals("Grüße", reply.headers().get("x-text"));
            assertEquals(200, wire.call("GET", "/", "t.Headers", new byte[0]).status());
        }
    }

    @Test
    void answersWhatCannotBeServed() throws IOException {
        assertEquals(501, host.get("t.Nobody").status());
        for (String bad : new String[] {"[]", "{", "{\"path\":3}", "{} {}", "nonsense"}) {
            assertEquals(400, host.get("t.Info", "X-Funcatron-Params: " + bad).status(), bad);
        }
        assertEquals(401, host.get("t.Info", "X-Refuse: yes").status());
    }

    @Test
    void answersThrowablesWithTheFunctionsPartOfTheStack() throws IOException {
        var reply = host.get("t.Fails");
        assertEquals(500, reply.status());
        assertTrue(reply.headers().get("content-type").startsWith("text/plain"));
        assertTrue(reply.text().startsWith("java.lang.IllegalStateException: on purpose\n\tat t.Fails.apply(Fails.java:6)"), reply.text());
        assertTrue(reply.text().contains("Caused by: java.io.IOException: the cause"), reply.text());
        assertFalse(reply.text().contains("jetty") || reply.text().contains("Dispatcher"), reply.text());
        host.untilOut("on purpose");
        var line = host.lines().stream().filter(l -> l.get("msg").toString().contains("IllegalStateException: on purpose")).findFirst().orElseThrow();
        assertEquals("ERROR", line.get("level"));
        assertEquals("t.Fails", line.get("op"));
        assertEquals(HostProcess.REQ, line.get("req"));
    }

    @Test
    void writesLogLines() throws IOException {
        try (HostProcess own = all().start()) {
            assertEquals(204, own.get("t.Logs").status());
            own.untilOut("\"cut\":");
            assertTrue(own.out().contains("plain line\n"));
            var lines = own.lines();
            assertEquals(4, lines.size(), own.out());
            assertEquals(Json.object("{'level':'WARN','msg':'words filled in','op':'t.Logs','req':'" + HostProcess.REQ + "'}"), lines.get(0));
            assertEquals("ERROR", lines.get(1).get("level"));
            assertTrue(lines.get(1).get("msg").toString().startsWith("by slf4j: java.io.IOException: with a cause\n\tat t.Logs.apply"));
            assertEquals("a.library", lines.get(1).get("logger"));
            assertEquals("t.Logs", lines.get(1).get("op"));
            assertEquals("other thread 世界 🚀", lines.get(2).get("msg"));
            assertEquals(HostProcess.REQ, lines.get(2).get("req"));
            assertTrue(lines.get(3).get("msg").toString().startsWith("ää"));
            for (String line : own.out().split("\n")) {
                assertTrue(line.getBytes(StandardCharsets.UTF_8).length <= 60 << 10);
            }
        }
    }

    @Test
    void interruptsAtTheDeadline() throws IOException {
        try (Wire wire = host.connect()) {
            long began = System.nanoTime();
            var reply = wire.call("GET", "/", "t.Sleeps", new byte[0], "X-Sleep: 600000", "X-Funcatron-Timeout-Ms: 100");
            assertEquals(504, reply.status());
            assertEquals("application/problem+json", reply.headers().get("content-type"));
            assertTrue(System.nanoTime() - began >= TimeUnit.MILLISECONDS.toNanos(100));
            // The interrupt was that request's: the next one on this thread sleeps in peace.
            assertEquals("slept", wire.call("GET", "/", "t.Sleeps", new byte[0], "X-Sleep: 1", "X-Funcatron-Timeout-Ms: 30000").text());
        }
    }

    @Test
    void leavesAFunctionThatDoesNotEnd() throws Exception {
        Path until = dir.resolve("until");
        try (HostProcess own = all().concurrency(1).start()) {
            for (int i = 0; i < 12; i++) { // more than there are threads
                var reply = own.get("t.Hangs", "X-Funcatron-Timeout-Ms: 50", "X-Until: " + until);
                assertEquals(504, reply.status());
                assertEquals("close", reply.headers().get("connection"));
            }
            assertEquals(200, own.get("t.Info").status());
            Files.createFile(until);
            own.untilOut("the function has ended after all");
            assertEquals(200, own.get("t.Info").status());
            own.terminate();
            assertEquals(0, own.exit());
        }
    }

    @Test
    void aFunctionsExitIsTheProcesss() throws Exception {
        try (HostProcess own = all().start()) {
            assertThrows(IOException.class, () -> own.get("t.Exits"));
            assertEquals(7, own.exit());
        }
    }

    @Test
    void finishesWhatRunsWhenTerminated() throws Exception {
        try (HostProcess own = all().start();
                Wire wire = own.connect()) {
            wire.send("GET", "/", "t.Sleeps", new byte[0], "X-Sleep: 1000");
            own.untilOut("asleep");
            own.terminate();
            own.until("it refuses connections", () -> !own.listens());
            assertEquals("slept", wire.receive("GET").text());
            assertEquals(0, own.exit());
            assertTrue(own.lines().stream().anyMatch(l -> l.get("msg").equals("end of life")), own.out());
        }
    }

    @Test
    void listensOnAPort() throws Exception {
        try (HostProcess own = all().tcp().start()) {
            assertEquals(200, own.get("t.Info").status());
            own.terminate();
            assertEquals(0, own.exit());
        }
    }

    @Test
    void saysAllThatIsMissing() throws Exception {
        Path broken = new TestBundle(dir.resolve("broken")).withIntf()
                .source("t.Good", function("Good", "Object", "return null;"))
                .source("t.NoFunc", "package t; public class NoFunc {}")
                .source("t.BadInit", function("BadInit", "Object", "return null;").replace("implements", "extends Base implements")
                        + "class Base { static { if (true) throw new IllegalStateException(\"init on purpose\"); } }")
                .uberjar();
        try (HostProcess own = new HostProcess.Builder(broken).operations("t.Good", "t.NoFunc", "t.Missing", "t.BadInit", "t.Missing2").launch()) {
            assertEquals(1, own.exit());
            String err = own.err();
            for (String wrong : new String[] {
                "t.NoFunc: class t.NoFunc does not implement funcatron.intf.Func", "t.Missing: the jar has no class t.Missing\n",
                "t.BadInit: class t.BadInit cannot be loaded", "t.Missing2: the jar has no class t.Missing2"}) {
                assertTrue(err.contains(wrong), err);
            }
            assertFalse(err.contains("t.Good"), err);
        }
        Path empty = new TestBundle(dir.resolve("empty")).source("t.Nothing", "package t; class Nothing {}").uberjar();
        try (HostProcess own = new HostProcess.Builder(empty).operations("t.Nothing").launch()) {
            assertEquals(1, own.exit());
            assertTrue(own.err().contains("the jar has no class funcatron.intf.impl.ContextImpl"), own.err());
        }
    }

    @Test
    void bundlesHaveTheirOwnVersionsOfLibraries() throws IOException {
        for (String version : new String[] {"1", "2"}) {
            Path own = new TestBundle(dir.resolve("lib" + version)).withIntf()
                    .source("com.fasterxml.jackson.databind.ObjectMapper", // the host has one, too
                            "package com.fasterxml.jackson.databind; public class ObjectMapper { public String toString() { return \"version " + version + "\"; } }")
                    .source("t.Version", function("Version", "Object", "return Map.of(\"it\", new com.fasterxml.jackson.databind.ObjectMapper().toString());"))
                    .uberjar();
            try (HostProcess process = new HostProcess.Builder(own).operations("t.Version").start()) {
                assertEquals("{\"it\":\"version " + version + "\"}", process.get("t.Version").text());
            }
        }
    }

    @Test
    void servesNestedJars() throws IOException {
        Path boot = new TestBundle(dir.resolve("boot")).withIntf().source("t.Nested", function("Nested", "Object", "return \"nested\";")).bootJar();
        try (HostProcess own = new HostProcess.Builder(boot).operations("t.Nested").start()) {
            assertEquals("nested", own.get("t.Nested").text());
        }
    }

    /** A bundle that has nothing of ours: the contract by JDK types is all that the host may rely on. */
    @Test
    void servesBundlesBuiltForTheOriginal() throws IOException {
        Path original = new TestBundle(dir.resolve("original"))
                .source("funcatron.intf.impl.ContextImpl", """
                        package funcatron.intf.impl;
                        import java.io.*;
                        import java.util.*;
                        import java.util.function.*;
                        import java.util.logging.Logger;
                        public class ContextImpl {
                            @SuppressWarnings("unchecked")
                            public static Function<String, BiFunction<Map<Object, Object>, Logger, Object>> initContext(
                                    Map<String, Object> props, ClassLoader loader, Logger logger) {
                                BiFunction<Object, String, byte[]> serializer = (value, type) -> (type + " " + value).getBytes();
                                return name -> switch (name) {
                                    case "getSerializer" -> (map, log) -> serializer;
                                    case "dispatcherFor" -> (map, log) -> {
                                        if (map.get("$operationId").equals("none")) return null;
                                        BiFunction<InputStream, Class<?>, Object> read = (BiFunction<InputStream, Class<?>, Object>) map.get("$deserializer");
                                        Function<Object, byte[]> write = (Function<Object, byte[]>) map.get("$serializer");
                                        return (BiFunction<InputStream, Map<Object, Object>, Map<Object, Object>>) (in, request) -> {
                                            ((Logger) request.get("$logger")).info("original");
                                            Object body = in == null ? null : read.apply(in, Map.class);
                                            Map<Object, Object> answer = new HashMap<>();
                                            answer.put("status", 203L);
                                            answer.put("headers", Map.of("X-Op", map.get("summary")));
                                            answer.put("body", body == null ? "text" : write.apply(body));
                                            return answer;
                                        };
                                    };
                                    default -> null;
                                };
                            }
                        }
                        """)
                .uberjar();
        HostProcess.Builder builder = new HostProcess.Builder(original);
        try (HostProcess own = builder.swagger(
                "{'swagger':'2.0','paths':{'/a':{'$ref':'#/x-a~1b'},'x-no':{'get':{'operationId':'none'}}},'x-a/b':{'post':{'summary':'s'}}}").start()) {
            var reply = own.send("POST", "POST /a", "{'a':1}".getBytes(StandardCharsets.UTF_8));
            assertEquals(203, reply.status(), reply.text());
            assertEquals("s", reply.headers().get("x-op"));
            assertEquals("application/json {a=1}", reply.text());
            assertEquals("text", own.send("POST", "POST /a", new byte[0]).text());
            assertEquals(400, own.send("POST", "POST /a", "{'a':".getBytes(StandardCharsets.UTF_8)).status());
            own.untilOut("\"op\":\"POST /a\"");
        }
        try (HostProcess own = new HostProcess.Builder(original).operations("none").launch()) {
            assertEquals(1, own.exit());
            assertTrue(own.err().contains("none: the bundle has no function for it"), own.err());
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }

    @Test
    void makesAClassDataArchive() throws Exception {
        Path archive = dir.resolve("classes.jsa");
        try (HostProcess own = all().option("-XX:+RecordDynamicDumpInfo").option("-Dfuncatron.archive=" + archive).start()) {
            assertEquals(200, own.get("t.Info").status());
            var reply = own.send("POST", "-", new byte[0], "X-Funcatron-Control: archive");
            assertEquals(204, reply.status(), reply.text());
            assertEquals(200, own.get("t.Info").status());
        }
        assertTrue(Files.size(archive) > 1 << 20);
        try (HostProcess own = all().option("-XX:SharedArchiveFile=" + archive).option("-Xshare:on").start()) {
            assertEquals(200, own.get("t.Info").status());
        }
        try (HostProcess own = all().option("-Dfuncatron.archive=" + dir.resolve("no.jsa")).start()) {
            var reply = own.send("POST", "-", new byte[0], "X-Funcatron-Control: archive");
            assertEquals(500, reply.status());
            assertTrue(reply.text().contains("RecordDynamicDumpInfo"), reply.text());
        }
        assertEquals(501, host.send("POST", "-", new byte[0], "X-Funcatron-Control: archive").status());
    }
}
