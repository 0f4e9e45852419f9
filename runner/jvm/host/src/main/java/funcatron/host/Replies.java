package funcatron.host;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import org.eclipse.jetty.http.HttpFields;
import org.eclipse.jetty.http.HttpStatus;
import org.eclipse.jetty.io.Content;
import org.eclipse.jetty.server.Request;
import org.eclipse.jetty.server.Response;
import org.eclipse.jetty.util.Callback;

/** Sends answers: maps of status, headers and body, as functions return them. */
final class Replies {
    /** These belong to the connection, and are the server's. */
    private static final Set<String> HOP = Set.of("connection", "keep-alive", "transfer-encoding", "content-length");

    /** How much of a stream is read before the status leaves: an error up to there still becomes a 500. */
    private static final int FIRST_READ = 32 << 10;

    private Replies() {}

    static Map<Object, Object> text(int status, String text) {
        return answer(status, "text/plain; charset=utf-8", text.getBytes(StandardCharsets.UTF_8));
    }

    static Map<Object, Object> problem(int status, String detail, String requestId) {
        Map<String, Object> problem = new LinkedHashMap<>();
        problem.put("title", HttpStatus.getMessage(status));
        problem.put("status", status);
        problem.put("detail", detail);
        problem.put("requestId", requestId);
        return answer(status, "application/problem+json", Json.write(problem));
    }

    private static Map<Object, Object> answer(int status, String type, byte[] body) {
        Map<Object, Object> answer = new HashMap<>();
        answer.put("status", status);
        answer.put("headers", Map.of("Content-Type", type));
        answer.put("body", body);
        return answer;
    }

    /** Makes the body bytes, or a stream that has more; says what of an answer cannot be sent. */
    static void prepare(Map<Object, Object> answer) throws IOException {
        if (answer == null) {
            throw new IllegalArgumentException("the function's answer is null");
        }
        Object status = answer.getOrDefault("status", 200);
        if (!(status instanceof Number n) || n.intValue() < 200 || n.intValue() > 599) {
            throw new IllegalArgumentException("answer with status " + status + ": it must be from 200 to 599");
        }
        Object body = answer.get("body");
        if (body instanceof String text) {
            answer.put("body", text.getBytes(StandardCharsets.UTF_8));
        } else if (body instanceof InputStream in) {
            byte[] first = in.readNBytes(FIRST_READ);
            if (first.length < FIRST_READ) {
                in.close();
                answer.put("body", first);
            } else {
                answer.put("body", new Begun(first, in));
            }
        } else if (body != null && !(body instanceof byte[])) {
            throw new IllegalArgumentException("the body of an answer is a " + body.getClass().getName());
        }
    }

    private record Begun(byte[] first, InputStream rest) {}

    /** Sends what {@link #prepare} found good, and completes the callback. */
    static void send(Map<Object, Object> answer, Request request, Response response, Callback callback) {
        int status = ((Number) answer.getOrDefault("status", 200)).intValue();
        response.setStatus(status);
        String length = headers(response.getHeaders(), answer.get("headers"));
        Object body = answer.get("body");
        boolean head = "HEAD".equals(request.getMethod());
        if (status == 204 || status == 304) { // RFC 9110, 15.3.5 and 15.4.5: no body
            close(body);
            response.write(true, null, callback);
            return;
        }
        if (body instanceof Begun begun) {
            stream(begun, head, response, callback);
            return;
        }
        byte[] bytes = body == null ? new byte[0] : (byte[]) body;
        // To HEAD, a function may name a length without making the body.
        response.getHeaders().put("Content-Length", head && bytes.length == 0 && length != null ? length : String.valueOf(bytes.length));
        response.write(true, head ? null : ByteBuffer.wrap(bytes), callback);
    }

    /** Copies headers, and gives the Content-Length that was among them. */
    private static String headers(HttpFields.Mutable fields, Object headers) {
        String length = null;
        if (!(headers instanceof Map<?, ?> map)) {
            return null;
        }
        for (Map.Entry<?, ?> header : map.entrySet()) {
            String name = String.valueOf(header.getKey());
            if (HOP.contains(name.toLowerCase(Locale.ROOT))) {
                if (name.equalsIgnoreCase("content-length")) {
                    length = String.valueOf(header.getValue());
                }
            } else if (header.getValue() instanceof Iterable<?> values) {
                values.forEach(v -> fields.add(name, bytes(v)));
            } else if (header.getValue() != null) {
                fields.add(name, bytes(header.getValue()));
            }
        }
        return length;
    }

    /** A value as Jetty sends it: each char a byte; a line break would begin another header. */
    private static String bytes(Object value) {
        String text = value.toString().replace('\r', ' ').replace('\n', ' ').replace('\0', ' ');
        for (int i = 0; i < text.length(); i++) {
            if (text.charAt(i) > 0x7f) {
                return new String(text.getBytes(StandardCharsets.UTF_8), StandardCharsets.ISO_8859_1);
            }
        }
        return text;
    }

    private static void stream(Begun begun, boolean head, Response response, Callback callback) {
        try (InputStream rest = begun.rest()) {
            if (head) {
                response.write(true, null, callback);
                return;
            }
            try {
                // Closed only where all went well: that is what ends the answer.
                OutputStream out = Content.Sink.asOutputStream(response);
                out.write(begun.first());
                rest.transferTo(out);
                out.close();
            } catch (Throwable e) {
                callback.failed(e); // the connection closes, so that half an answer is not taken for a whole one
                return;
            }
            callback.succeeded();
        } catch (IOException e) {
            java.util.logging.Logger.getLogger("funcatron").log(java.util.logging.Level.WARNING, "close an answer's body", e);
        }
    }

    private static void close(Object body) {
        if (body instanceof Begun begun) {
            try {
                begun.rest().close();
            } catch (IOException e) {
                java.util.logging.Logger.getLogger("funcatron").log(java.util.logging.Level.WARNING, "close an answer's body", e);
            }
        }
    }
}
