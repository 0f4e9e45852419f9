package funcatron.intf.impl;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import funcatron.intf.Accumulator;
import funcatron.intf.Context;
import funcatron.intf.Func;
import funcatron.intf.ServiceVendor;
import funcatron.intf.ServiceVendorProvider;
import funcatron.intf.StatusException;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.SQLException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.logging.Logger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ServicesTest {
    @TempDir
    Path dir;

    private String url;
    private TestRunner runner;

    @BeforeEach
    void start() throws SQLException {
        url = "jdbc:sqlite:" + dir.resolve("test.db") + "?busy_timeout=5000&transaction_mode=IMMEDIATE";
        try (Connection c = DriverManager.getConnection(url)) {
            c.createStatement().execute("CREATE TABLE rows (n INTEGER)");
        }
        runner = new TestRunner(Map.of(
                "db", Map.of("type", "database", "url", url, "maximumPoolSize", 2),
                "nowhere", Map.of("type", "database", "url", "jdbc:sqlite:/no/such/folder/x.db"),
                "unknownUrl", Map.of("type", "database", "url", "jdbc:klingon:x"),
                "things", Map.of("type", "thing"),
                "noService", Map.of("type", "whatever"),
                "limit", 7));
    }

    @AfterEach
    void end() {
        runner.end();
    }

    private int rows() throws SQLException {
        try (Connection c = DriverManager.getConnection(url)) {
            return c.createStatement().executeQuery("SELECT count(*) FROM rows").getInt(1);
        }
    }

    public static class Writes implements Func<Object> {
        static volatile Exception then;

        @Override
        public Object apply(Object o, Context context) throws Exception {
            Connection c = context.vendForName("db", Connection.class).orElseThrow();
            assertSame(c, context.vendForName("db", AutoCloseable.class).orElseThrow());
            c.createStatement().execute("INSERT INTO rows VALUES (1)");
            if (then != null) {
                throw then;
            }
            return "written";
        }
    }

    @Test
    void commitsWhatSucceeds() throws SQLException {
        Writes.then = null;
        assertEquals("written", runner.call(Writes.class, "get").body());
        assertEquals(1, rows());
    }

    @Test
    void rollsBackWhatThrows() throws SQLException {
        Writes.then = new StatusException(409, "too many");
        DispatcherTest.assertProblem(runner.call(Writes.class, "get"), 409, "too many");
        Writes.then = new IllegalStateException("on purpose");
        for (int i = 0; i < 5; i++) { // more than there are connections: each must be given back
            assertThrows(IllegalStateException.class, () -> runner.call(Writes.class, "get"));
        }
        assertEquals(0, rows());
    }

    @Test
    void rollsBackWhatIsLate() throws SQLException {
        Writes.then = null;
        for (int i = 0; i < 5; i++) {
            DispatcherTest.assertProblem(
                    runner.call(Writes.class, "get", null, null, Map.of("$deadline", System.nanoTime() - 1)), 504, "rolled back");
        }
        assertEquals(0, rows());
        long later = System.nanoTime() + TimeUnit.MINUTES.toNanos(1);
        assertEquals(200, runner.call(Writes.class, "get", null, null, Map.of("$deadline", later)).status());
        assertEquals(1, rows());
    }

    @Test
    void manyAtOnceWaitForAConnection() throws Exception {
        Writes.then = null;
        var pool = Executors.newFixedThreadPool(8);
        try {
            List<Future<Integer>> calls = new ArrayList<>();
            for (int i = 0; i < 40; i++) {
                calls.add(pool.submit(() -> runner.call(Writes.class, "get").status()));
            }
            for (Future<Integer> call : calls) {
                assertEquals(200, call.get());
            }
        } finally {
            pool.shutdownNow();
        }
        assertEquals(40, rows());
    }

    public static class Vends implements Func<Object> {
        static String name;
        static volatile Context context;

        @Override
        public Object apply(Object o, Context c) throws Exception {
            context = c;
            return c.vendForName(name, Object.class).isPresent() ? "vended" : "none";
        }
    }

    @Test
    void saysWhatCannotBeVended() {
        for (String name : new String[] {"nowhere", "unknownUrl"}) {
            Vends.name = name;
            var reply = runner.call(Vends.class, "get");
            DispatcherTest.assertProblem(reply, 503, "service \\\"" + name + "\\\" is not available");
        }
        for (String name : new String[] {"noService", "limit", "nobody"}) {
            Vends.name = name;
            assertEquals("none", runner.call(Vends.class, "get").body());
        }
    }

    @Test
    void listsAndFindsServices() {
        Vends.name = "nobody";
        runner.call(Vends.class, "get");
        Context c = Vends.context;
        assertEquals(java.util.Set.of("db", "nowhere", "unknownUrl", "things"), c.services());
        assertEquals("db", c.serviceForName("db").orElseThrow().name());
        assertTrue(c.serviceForName("db", Connection.class).isPresent());
        assertTrue(c.serviceForName("db", String.class).isEmpty());
        assertTrue(c.serviceForName("nobody").isEmpty());
        assertThrows(StatusException.class, () -> c.serviceForName("unknown-url"));
        assertThrows(IllegalStateException.class, () -> c.vendForName("db", Connection.class), "the request is over");
    }

    /** Notes all that is done with it. Named in META-INF/services. */
    public static class Things implements ServiceVendorProvider {
        static final List<String> log = new ArrayList<>();
        static boolean failing;

        @Override
        public String forType() {
            return "thing";
        }

        @Override
        public Optional<ServiceVendor<?>> buildVendor(String name, Map<String, Object> properties, Logger logger) {
            log.add("build " + name + properties);
            return Optional.of(new ServiceVendor<StringBuilder>() {
                @Override
                public String name() {
                    return name;
                }

                @Override
                public Class<StringBuilder> type() {
                    return StringBuilder.class;
                }

                @Override
                public StringBuilder vend(Accumulator accumulator) {
                    StringBuilder item = new StringBuilder("item");
                    accumulator.accumulate(item, this);
                    return item;
                }

                @Override
                public void endLife() {
                    log.add("end");
                }

                @Override
                public void release(StringBuilder item, boolean success) {
                    log.add("release " + item + " " + success);
                    if (failing) {
                        throw new IllegalStateException("release on purpose");
                    }
                }
            });
        }
    }

    @Test
    void buildsServicesOfOtherTypes() {
        Things.log.clear();
        Things.failing = false;
        Vends.name = "things";
        assertEquals("vended", runner.call(Vends.class, "get").body());
        Things.failing = true;
        var e = assertThrows(IllegalStateException.class, () -> runner.call(Vends.class, "get"));
        assertEquals("release on purpose", e.getMessage());
        runner.end();
        assertEquals(List.of("build things{type=thing}", "release item true", "release item true", "end"), Things.log);
    }

    public static class Both implements Func<Object> {
        @Override
        public Object apply(Object o, Context c) throws Exception {
            c.vendForName("db", Connection.class).orElseThrow().createStatement().execute("INSERT INTO rows VALUES (1)");
            return c.vendForName("things", StringBuilder.class).orElseThrow().toString();
        }
    }

    @Test
    void undoesTheRestWhenOneCannotBeKept() throws SQLException {
        Things.failing = true;
        assertThrows(IllegalStateException.class, () -> runner.call(Both.class, "get"));
        assertEquals(0, rows());
        Things.failing = false;
        assertEquals("item", runner.call(Both.class, "get").body());
        assertEquals(1, rows());
    }

    @Test
    void namesInCamelCase() {
        assertEquals("myDb", Services.camelCase("my-db"));
        assertEquals("myOtherDb", Services.camelCase("my_other-db"));
        assertEquals("db", Services.camelCase("db"));
        assertEquals("", Services.camelCase("-"));
    }
}
