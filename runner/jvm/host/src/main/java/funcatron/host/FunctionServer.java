package funcatron.host;

import java.net.InetAddress;
import org.eclipse.jetty.http.HttpCompliance;
import org.eclipse.jetty.http.UriCompliance;
import org.eclipse.jetty.server.AbstractConnector;
import org.eclipse.jetty.server.Handler;
import org.eclipse.jetty.server.HttpConfiguration;
import org.eclipse.jetty.server.HttpConnectionFactory;
import org.eclipse.jetty.server.Server;
import org.eclipse.jetty.server.ServerConnector;
import org.eclipse.jetty.unixdomain.server.UnixDomainServerConnector;
import org.eclipse.jetty.util.thread.QueuedThreadPool;

/** Listens to the Runner, and to nobody else. */
final class FunctionServer {
    /** Of the Runner's header lines X-Funcatron-Params alone may have 8 MiB. */
    private static final int MAX_HEADER = 10 << 20;

    /** Threads beyond those that serve: one accepts, one selects, and some are held in reserve. */
    private static final int MORE_THREADS = 6;

    private final Server server;
    private final AbstractConnector connector;

    FunctionServer(Settings settings, FunctionHandler handler) {
        QueuedThreadPool threads = new QueuedThreadPool(settings.concurrency() + MORE_THREADS, Math.min(4, settings.concurrency() + MORE_THREADS));
        threads.setName("http");
        handler.onAbandon(more -> threads.setMaxThreads(threads.getMaxThreads() + more));
        server = new Server(threads);
        connector = settings.socket() != null ? unix(settings) : tcp(settings);
        connector.setIdleTimeout(0);
        server.addConnector(connector);
        server.setHandler((Handler) handler);
    }

    private AbstractConnector unix(Settings settings) {
        UnixDomainServerConnector unix = new UnixDomainServerConnector(server, 1, 1, http());
        unix.setUnixDomainPath(settings.socket());
        return unix;
    }

    private AbstractConnector tcp(Settings settings) {
        ServerConnector tcp = new ServerConnector(server, 1, 1, http());
        tcp.setHost(InetAddress.getLoopbackAddress().getHostAddress());
        tcp.setPort(settings.port());
        return tcp;
    }

    /** The Runner is trusted, and passes on what it was sent: odd URIs and hosts are the functions' to judge. */
    private static HttpConnectionFactory http() {
        HttpConfiguration config = new HttpConfiguration();
        config.setRequestHeaderSize(MAX_HEADER);
        config.setMaxResponseHeaderSize(1 << 20);
        config.setSendServerVersion(false);
        config.setSendDateHeader(false);
        config.setUriCompliance(UriCompliance.UNSAFE);
        config.setHttpCompliance(HttpCompliance.RFC7230.with(
                "RUNNER", HttpCompliance.Violation.UNSAFE_HOST_HEADER, HttpCompliance.Violation.MISMATCHED_AUTHORITY));
        return new HttpConnectionFactory(config);
    }

    void start() throws Exception {
        server.start();
    }

    /** Takes no connection any more; those that are there go on. */
    void stopAccepting() {
        connector.shutdown();
    }
}
