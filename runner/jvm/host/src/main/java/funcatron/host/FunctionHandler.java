package funcatron.host;

import java.io.ByteArrayInputStream;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.IntConsumer;
import java.util.logging.Level;
import org.eclipse.jetty.http.HttpHeader;
import org.eclipse.jetty.io.Content;
import org.eclipse.jetty.server.Handler;
import org.eclipse.jetty.server.Request;
import org.eclipse.jetty.server.Response;
import org.eclipse.jetty.util.Callback;

/** Runs functions, each on the thread that read its request. */
final class FunctionHandler extends Handler.Abstract {
    private final Operations operations;
    private final ClassLoader loader;
    private final Watchdog watchdog;
    private final String archive;
    private final AtomicInteger running = new AtomicInteger();
    private final Object quiet = new Object(); // notified when running falls to 0
    private IntConsumer moreThreads = n -> {}; // set before the start

    /** @param archive where the class-data archive is to be made, or null */
    FunctionHandler(Operations operations, ClassLoader loader, Watchdog watchdog, String archive) {
        this.operations = operations;
        this.loader = loader;
        this.watchdog = watchdog;
        this.archive = archive;
    }

    /** @param more is called with 1 when a thread is lost to a function that does not end, and with -1 when it ended */
    void onAbandon(IntConsumer more) {
        moreThreads = more;
    }

    /** Waits for the running requests; false where some still run after that many ns. */
    boolean await(long nanos) throws InterruptedException {
        long end = System.nanoTime() + nanos;
        synchronized (quiet) {
            while (running.get() > 0) {
                long ms = TimeUnit.NANOSECONDS.toMillis(end - System.nanoTime());
                if (ms <= 0) {
                    return false;
                }
                quiet.wait(ms);
            }
        }
        return true;
    }

    private void ended() {
        if (running.decrementAndGet() == 0) {
            synchronized (quiet) {
                quiet.notifyAll();
            }
        }
    }

    @Override
    public boolean handle(Request request, Response response, Callback callback) throws Exception {
        running.incrementAndGet();
        Callback counted = Callback.from(callback, this::ended);
        if (archive != null && "archive".equals(request.getHeaders().get("X-Funcatron-Control")) && "POST".equals(request.getMethod())) {
            Replies.send(Archive.dump(archive), request, response, counted);
            return true;
        }
        call(request, response, counted);
        return true;
    }

    private void call(Request request, Response response, Callback callback) throws Exception {
        String id = request.getHeaders().get("X-Funcatron-Operation");
        Operations.Operation operation = id == null ? null : operations.get(id);
        LogLines.RequestLogger logger = new LogLines.RequestLogger(id, request.getHeaders().get("X-Request-Id"));
        Requests.Made made;
        try {
            made = operation == null ? null : Requests.of(request, operation, logger);
        } catch (Json.SyntaxException e) {
            Replies.send(Replies.problem(400, "read X-Funcatron-Params: " + e.getMessage(), logger.req()), request, response, callback);
            return;
        }
        ByteBuffer body = Content.Source.asByteBuffer(request);
        if (made == null) {
            Replies.send(Replies.problem(501, "this bundle does not serve operation \"" + id + "\"", logger.req()), request, response, callback);
            return;
        }
        long left = made.deadline() == null ? -1 : Math.max(0, made.deadline() - System.nanoTime());
        Watchdog.Run run = watchdog.watch(left, () -> abandon(request, response, callback, logger));
        Map<Object, Object> answer = run(operation, body, made, logger, run);
        if (run.end()) {
            Replies.send(answer, request, response, callback);
        } else {
            moreThreads.accept(-1);
            logger.warning("the function has ended after all");
        }
    }

    /** Gives the function's answer, or one for what it threw. */
    private Map<Object, Object> run(
            Operations.Operation operation, ByteBuffer body, Requests.Made made, LogLines.RequestLogger logger, Watchdog.Run run) {
        Thread.currentThread().setContextClassLoader(loader);
        LogLines.enter(logger);
        try {
            InputStream in = body.hasRemaining() ? new ByteArrayInputStream(body.array(), body.arrayOffset() + body.position(), body.remaining()) : null;
            Map<Object, Object> answer = operation.function().apply(in, made.map());
            Replies.prepare(answer);
            return answer;
        } catch (Throwable e) {
            return failed(e, logger, run.late());
        } finally {
            LogLines.leave();
        }
    }

    private static Map<Object, Object> failed(Throwable e, LogLines.RequestLogger logger, boolean late) {
        for (Throwable cause = e; cause != null; cause = cause.getCause()) {
            if (cause instanceof Mapper.BodyException) { // from a bundle that does not know what that means
                return Replies.problem(400, "the body cannot be read: " + cause.getMessage(), logger.req());
            }
        }
        if (late) {
            logger.log(Level.WARNING, "the function ran out of time", e);
            return Replies.problem(504, "the function ran out of time", logger.req());
        }
        logger.log(Level.SEVERE, "function failed", e);
        return Replies.text(500, Failure.text(e));
    }

    /**
     * Answers for a function that does not end. Its thread has the connection as well: the
     * Runner must not use that again.
     */
    private void abandon(Request request, Response response, Callback callback, LogLines.RequestLogger logger) {
        moreThreads.accept(1);
        logger.warning("the function ran out of time and does not end: its thread is left to it");
        response.getHeaders().put(HttpHeader.CONNECTION, "close");
        Replies.send(Replies.problem(504, "the function ran out of time", logger.req()), request, response, callback);
    }
}
