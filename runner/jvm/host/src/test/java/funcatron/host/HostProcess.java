package funcatron.host;

import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.SocketAddress;
import java.net.UnixDomainSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;

/** The host as a process, started as the Runner does. */
final class HostProcess implements AutoCloseable {
    static final String REQ = "db9d00abf61d9c67f4f0e755e96b8d0e";

    /** The longest wait for anything, in s: machines that test are busy. */
    static final long PATIENCE = 60;

    final Process process;
    private final SocketAddress address;
    private final Path out;
    private final Path err;

    private HostProcess(Process process, SocketAddress address, Path out, Path err) {
        this.process = process;
        this.address = address;
        this.out = out;
        this.err = err;
    }

    /** How one is started. */
    static final class Builder {
        private final Path jar;
        private String swagger = "{}";
        private String props = "{}";
        private int concurrency = 8;
        private boolean tcp;
        private final List<String> options = new ArrayList<>(List.of("-XX:TieredStopAtLevel=1", "-Xshare:auto", "-Xlog:disable", "-Xlog:all=error:stderr"));

        Builder(Path jar) {
            this.jar = jar;
        }

        /** A document that has an operation of each id. */
        Builder operations(String... ids) {
            StringBuilder paths = new StringBuilder();
            for (String id : ids) {
                paths.append(paths.isEmpty() ? "" : ",").append("\"/").append(id).append("\":{\"get\":{\"operationId\":\"").append(id).append("\"}}");
            }
            swagger = "{\"swagger\":\"2.0\",\"paths\":{" + paths + "}}";
            return this;
        }

        Builder swagger(String json) {
            swagger = json;
            return this;
        }

        Builder props(String json) {
            props = json;
            return this;
        }

        Builder concurrency(int n) {
            concurrency = n;
            return this;
        }

        Builder tcp() {
            tcp = true;
            return this;
        }

        Builder option(String option) {
            options.add(option);
            return this;
        }

        /** Starts it, and does not wait. */
        HostProcess launch() throws IOException {
            Path dir = Files.createTempDirectory("h"); // a socket's path is short
            List<String> command = new ArrayList<>(List.of(Path.of(System.getProperty("java.home"), "bin", "java").toString()));
            command.addAll(options);
            command.addAll(List.of("-Djava.io.tmpdir=" + dir, "-jar", System.getProperty("host"), jar.toString()));
            ProcessBuilder builder = new ProcessBuilder(command);
            SocketAddress address = tcp ? freePort() : UnixDomainSocketAddress.of(dir.resolve("s"));
            Map<String, String> environment = builder.environment();
            environment.keySet().retainAll(List.of("PATH"));
            environment.putAll(Map.of(
                    "HOME", dir.toString(), "LANG", "C.UTF-8", "TMPDIR", dir.toString(),
                    "FUNCATRON_PROPS_FILE", Files.writeString(dir.resolve("props.json"), props).toString(),
                    "FUNCATRON_SWAGGER_FILE", Files.writeString(dir.resolve("swagger.json"), swagger).toString(),
                    "FUNCATRON_CONCURRENCY", String.valueOf(concurrency)));
            if (address instanceof InetSocketAddress port) {
                environment.put("PORT", String.valueOf(port.getPort()));
            } else {
                environment.put("FUNCATRON_SOCKET", address.toString());
            }
            Path out = dir.resolve("out");
            Path err = dir.resolve("err");
            return new HostProcess(
                    builder.redirectOutput(out.toFile()).redirectError(err.toFile()).directory(dir.toFile()).start(), address, out, err);
        }

        /** Starts it, and waits until it listens. */
        HostProcess start() throws IOException {
            HostProcess host = launch();
            host.until("it listens", () -> {
                if (!host.process.isAlive()) {
                    throw new IllegalStateException("it ended with " + host.process.exitValue());
                }
                return host.listens();
            });
            return host;
        }

        private static InetSocketAddress freePort() throws IOException {
            try (ServerSocket socket = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
                return new InetSocketAddress(InetAddress.getLoopbackAddress(), socket.getLocalPort());
            }
        }
    }

    boolean listens() {
        try (Wire wire = connect()) {
            return true;
        } catch (IOException e) {
            return false;
        }
    }

    Wire connect() throws IOException {
        return new Wire(address);
    }

    /** One request on a connection of its own. */
    Wire.Reply get(String operation, String... headers) throws IOException {
        return send("GET", operation, new byte[0], headers);
    }

    Wire.Reply send(String method, String operation, byte[] body, String... headers) throws IOException {
        try (Wire wire = connect()) {
            return wire.call(method, "/x?cool=yes", operation, body, headers);
        }
    }

    String out() throws IOException {
        return Files.readString(out);
    }

    String err() throws IOException {
        return Files.readString(err);
    }

    /** The log lines, parsed; others are left out. */
    List<Map<String, Object>> lines() throws IOException {
        List<Map<String, Object>> lines = new ArrayList<>();
        for (String line : out().split("\n")) {
            if (line.startsWith("{")) {
                lines.add(Json.object(line));
            }
        }
        return lines;
    }

    /** Waits for a condition. */
    void until(String what, BooleanSupplier condition) throws IOException {
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(PATIENCE);
        while (!condition.getAsBoolean()) {
            if (System.nanoTime() > end) {
                throw new IllegalStateException("waited in vain until " + what + "\n" + out() + err());
            }
            java.util.concurrent.locks.LockSupport.parkNanos(TimeUnit.MILLISECONDS.toNanos(2));
        }
    }

    void untilOut(String text) throws IOException {
        until("it writes " + text, () -> {
            try {
                return out().contains(text);
            } catch (IOException e) {
                throw new IllegalStateException(e);
            }
        });
    }

    int exit() throws InterruptedException {
        if (!process.waitFor(PATIENCE, TimeUnit.SECONDS)) {
            throw new IllegalStateException("it does not end");
        }
        return process.exitValue();
    }

    /** SIGTERM, which Process.destroy is. */
    void terminate() {
        process.destroy();
    }

    @Override
    public void close() {
        process.destroyForcibly();
    }
}
