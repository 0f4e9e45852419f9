import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;

/** As little of an HTTP server as Java can be, a thread a connection: {@code java Bare.java SOCKET}. */
class Bare {
    static final String BODY = "{\"greeting\":\"Hello from a function\",\"count\":12345,\"tags\":[\"alpha\",\"beta\",\"gamma\"],\"nested\":{\"ok\":true,\"ratio\":0.75}}";
    static final byte[] ANSWER = ("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: " + BODY.length() + "\r\n\r\n" + BODY)
            .getBytes(StandardCharsets.US_ASCII);

    public static void main(String[] args) throws IOException {
        ServerSocketChannel server = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
        server.bind(UnixDomainSocketAddress.of(args[0]), 1024);
        System.out.println("listening on " + args[0]);
        while (true) {
            SocketChannel client = server.accept();
            Thread thread = new Thread(() -> serve(client));
            thread.setDaemon(true);
            thread.start();
        }
    }

    static void serve(SocketChannel client) {
        ByteBuffer in = ByteBuffer.allocateDirect(16 << 10);
        ByteBuffer out = ByteBuffer.allocateDirect(ANSWER.length).put(ANSWER);
        int matched = 0; // bytes of the empty line that ends a head
        try (client) {
            while (client.read(in.clear()) > 0) {
                for (in.flip(); in.hasRemaining(); ) {
                    byte c = in.get();
                    matched = c == (matched % 2 == 0 ? '\r' : '\n') ? matched + 1 : c == '\r' ? 1 : 0;
                    if (matched == 4) {
                        matched = 0;
                        for (out.rewind(); out.hasRemaining(); ) {
                            client.write(out);
                        }
                    }
                }
            }
        } catch (IOException gone) {
            // the client closed it
        }
    }
}
