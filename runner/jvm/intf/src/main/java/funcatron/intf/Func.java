package funcatron.intf;

import java.io.InputStream;
import java.util.Map;
import java.util.function.Function;

/**
 * A function: the class that an operationId names. It needs a public constructor
 * without parameters, which makes an object for each request; so its fields belong
 * to one request.
 *
 * <p>The body arrives as a {@code Request}: {@code byte[]} and {@link InputStream}
 * take it as it is (empty where there is none), {@link org.w3c.dom.Document} as XML, a
 * {@link String} as text unless it is JSON, and everything else is read from JSON. A
 * body that cannot be read is answered 400. Without a body, and to GET and DELETE,
 * {@code Request} is null.
 *
 * <p>What it returns is the answer: a {@link MetaResponse} in full, {@code byte[]} and
 * {@link InputStream} as they are, a {@link String} as text, a {@link org.w3c.dom.Node}
 * as XML, null as 204 without a body, and all else as JSON. An exception is answered
 * 500, but for {@link StatusException}, which says how.
 *
 * @param <Request> what the body is read as
 */
public interface Func<Request> {
    /** Answers a request of any method whose own method, below, is not overridden. */
    Object apply(Request request, Context context) throws Exception;

    /** Answers GET, and HEAD, whose answer loses its body on the way. */
    default Object get(Context context) throws Exception {
        return apply(null, context);
    }

    /** Answers DELETE. */
    default Object delete(Context context) throws Exception {
        return apply(null, context);
    }

    /** Answers POST. */
    default Object post(Request request, Context context) throws Exception {
        return apply(request, context);
    }

    /** Answers PUT. */
    default Object put(Request request, Context context) throws Exception {
        return apply(request, context);
    }

    /** Answers PATCH. */
    default Object patch(Request request, Context context) throws Exception {
        return apply(request, context);
    }

    /** Reads the body; null leaves that to the Runner. What it throws is answered 400. */
    default Function<InputStream, Request> jsonDecoder() {
        return null;
    }

    /** Writes what is returned and is to be JSON; null leaves that to the Runner. */
    default Function<Object, byte[]> jsonEncoder() {
        return null;
    }

    /** The answer's media type; null is the one that fits what is returned. */
    default String contentType() {
        return null;
    }

    /** The answer's status, where what is returned is no {@link MetaResponse}. */
    default int statusCode() {
        return 200;
    }

    /** Headers of the answer. A value that is a collection is a header a member. */
    default Map<String, Object> headers() {
        return Map.of();
    }
}
