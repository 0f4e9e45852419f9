package funcatron.intf;

import java.net.URI;
import java.net.http.HttpRequest;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.logging.Logger;

/**
 * One request, and what a function may use while it serves it. It may be used by
 * several threads at once; what it vends must not be used after the function returned.
 * The maps it gives are not to be changed.
 *
 * <p>Numbers in parameters and properties are some {@link Number}: integers keep all
 * their digits, whatever class that takes.
 */
public interface Context {
    /** All that the Runner says of the request, by the names of Ring requests. */
    Map<Object, Object> getRequestInfo();

    /** Writes log lines that carry the operation, the git revision and the REQ id. */
    Logger getLogger();

    /** The path of the request, as it was sent. */
    String getURI();

    /** The body's media type as it was sent, parameters and all; null where none was. */
    String contentType();

    /** The parameters by their place: {@code path}, {@code query}, {@code header}, {@code body}. */
    Map<String, Map<String, Object>> getRequestParams();

    /** The headers, names in lower case. */
    Map<String, Object> getHeaders();

    /**
     * The query parameters. Those that the Swagger document declares have its types and
     * defaults; others are strings, or a list of strings where repeated.
     */
    Map<String, Object> getQueryParams();

    /** The path parameters, of the types that the Swagger document declares. */
    Map<String, Object> getPathParams();

    /** The form's fields, of the types that the Swagger document declares. */
    Map<String, Object> getBodyParams();

    /** All parameters. Of those with one name the path's counts, then the query's, the form's, the header's. */
    Map<String, Object> getMergedParams();

    String getScheme();

    String getHost();

    /** The method, in lower case. */
    String getMethod();

    /** The names of the services that the properties describe. */
    Set<String> services();

    /** The service of that name; empty where the properties describe none. */
    Optional<ServiceVendor<?>> serviceForName(String name);

    /** The service of that name, where what it vends is a {@code type}. */
    <T> Optional<ServiceVendor<T>> serviceForName(String name, Class<T> type);

    /**
     * Vends an item of the service of that name: of a database, its
     * {@link java.sql.Connection} in a transaction. Asked again during the request it gives
     * the same one. It is given back before the answer leaves: committed where the
     * function returned in time, rolled back where it threw or was late.
     *
     * @return empty where the properties describe no such service of that type
     * @throws StatusException 503 where the service is there and cannot vend
     */
    <T> Optional<T> vendForName(String name, Class<T> type) throws Exception;

    /** The Execution Properties that the bundle was enabled with. */
    Map<String, Object> properties();

    /** The REQ id: shared by all requests that came of one. "" where the Runner gave none. */
    default String requestId() {
        return headerOf(this, "x-request-id").orElse("");
    }

    /** The operationId that the request matched; "" where the Runner gave none. */
    default String operation() {
        return headerOf(this, "x-funcatron-operation").orElse("");
    }

    /** The header parameters that the Swagger document declares, under the names it gives them. */
    default Map<String, Object> getHeaderParams() {
        return getRequestParams().getOrDefault("header", Map.of());
    }

    /**
     * What is left until the request's deadline, zero or less when that has passed; empty
     * where there is none. When it passes, the function's thread is interrupted.
     */
    default Optional<Duration> timeLeft() {
        return getRequestInfo().get("$deadline") instanceof Long end
                ? Optional.of(Duration.ofNanos(end - System.nanoTime()))
                : Optional.empty();
    }

    /** The headers by which a request to another function belongs to this one in logs and traces. */
    default Map<String, String> outgoingHeaders() {
        Map<String, String> headers = new LinkedHashMap<>();
        for (String name : new String[] {"X-Request-Id", "traceparent", "tracestate"}) {
            headerOf(this, name.toLowerCase(java.util.Locale.ROOT)).ifPresent(v -> headers.put(name, v));
        }
        return headers;
    }

    /** Begins a request to another function: with {@link #outgoingHeaders}, and no longer than {@link #timeLeft}. */
    default HttpRequest.Builder newRequest(URI uri) {
        HttpRequest.Builder builder = HttpRequest.newBuilder(uri);
        outgoingHeaders().forEach(builder::header);
        timeLeft().ifPresent(left -> builder.timeout(left.compareTo(Duration.ofMillis(1)) > 0 ? left : Duration.ofMillis(1)));
        return builder;
    }

    private static Optional<String> headerOf(Context context, String name) {
        return Optional.ofNullable(context.getHeaders().get(name)).map(Object::toString);
    }
}
