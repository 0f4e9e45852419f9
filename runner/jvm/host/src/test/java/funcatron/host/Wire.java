package funcatron.host;

import java.io.BufferedInputStream;
import java.io.ByteArrayOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.net.SocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;

/** One kept-alive connection, as the Runner has it. */
final class Wire implements AutoCloseable {
    private final SocketChannel channel;
    private final InputStream in;

    Wire(SocketAddress address) throws IOException {
        channel = SocketChannel.open(address);
        in = new BufferedInputStream(Channels.newInputStream(channel));
    }

    /** Headers by their name in lower case. */
    record Reply(int status, Map<String, String> headers, byte[] body) {
        String text() {
            return new String(body, StandardCharsets.UTF_8);
        }
    }

    Reply call(String method, String target, String operation, byte[] body, String... headers) throws IOException {
        send(method, target, operation, body, headers);
        return receive(method);
    }

    /** @param headers lines, which come after those that every request has; Transfer-Encoding among them makes the body chunks */
    void send(String method, String target, String operation, byte[] body, String... headers) throws IOException {
        String all = String.join("\r\n", headers);
        boolean chunked = all.toLowerCase(Locale.ROOT).contains("transfer-encoding");
        StringBuilder head = new StringBuilder(method + " " + target + " HTTP/1.1\r\nHost: example.com\r\nX-Request-Id: " + HostProcess.REQ
                + "\r\nX-Funcatron-Operation: " + operation + "\r\n");
        if (!chunked && (body.length > 0 || method.equals("POST"))) {
            head.append("Content-Length: ").append(body.length).append("\r\n");
        }
        head.append(all).append(all.isEmpty() ? "\r\n" : "\r\n\r\n");
        write(head.toString().getBytes(StandardCharsets.UTF_8));
        if (!chunked) {
            write(body);
            return;
        }
        for (int at = 0; at < body.length; at += 1000) {
            int n = Math.min(1000, body.length - at);
            write((Integer.toHexString(n) + "\r\n").getBytes(StandardCharsets.US_ASCII));
            write(java.util.Arrays.copyOfRange(body, at, at + n));
            write("\r\n".getBytes(StandardCharsets.US_ASCII));
        }
        write("0\r\n\r\n".getBytes(StandardCharsets.US_ASCII));
    }

    void write(byte[] bytes) throws IOException {
        for (ByteBuffer buffer = ByteBuffer.wrap(bytes); buffer.hasRemaining();) {
            channel.write(buffer);
        }
    }

    /** @throws EOFException where the connection ends before the answer does */
    Reply receive(String method) throws IOException {
        int status = Integer.parseInt(line().split(" ")[1]);
        Map<String, String> headers = new TreeMap<>();
        for (String line = line(); !line.isEmpty(); line = line()) {
            String[] field = line.split(": ?", 2);
            headers.merge(field[0].toLowerCase(Locale.ROOT), field[1], (a, b) -> a + ", " + b);
        }
        if (method.equals("HEAD") || status == 204 || status == 304) {
            return new Reply(status, headers, new byte[0]);
        }
        if ("chunked".equals(headers.get("transfer-encoding"))) {
            return new Reply(status, headers, chunks());
        }
        return new Reply(status, headers, exactly(Integer.parseInt(headers.get("content-length"))));
    }

    private byte[] chunks() throws IOException {
        ByteArrayOutputStream body = new ByteArrayOutputStream();
        for (int n = Integer.parseInt(line(), 16); n > 0; n = Integer.parseInt(line(), 16)) {
            body.write(exactly(n));
            line();
        }
        line();
        return body.toByteArray();
    }

    private byte[] exactly(int n) throws IOException {
        byte[] bytes = in.readNBytes(n);
        if (bytes.length < n) {
            throw new EOFException("the connection ended within the body");
        }
        return bytes;
    }

    private String line() throws IOException {
        ByteArrayOutputStream line = new ByteArrayOutputStream();
        for (int c = in.read(); c != '\n'; c = in.read()) {
            if (c < 0) {
                throw new EOFException("the connection ended");
            }
            if (c != '\r') {
                line.write(c);
            }
        }
        return line.toString(StandardCharsets.UTF_8);
    }

    @Override
    public void close() throws IOException {
        channel.close();
    }
}
