package funcatron.intf.impl;

import funcatron.intf.Accumulator;
import funcatron.intf.Context;
import funcatron.intf.ServiceVendor;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.function.BiFunction;
import java.util.function.Function;
import java.util.logging.Logger;

/**
 * One request, as a Runner's request map tells of it; and, by {@link #initContext}, the
 * door through which a Runner, which knows none of the bundle's classes, comes in.
 */
public final class ContextImpl implements Context, Accumulator {
    private final Map<Object, Object> request;
    private final Logger logger;
    private final Map<String, Object> properties;
    private final Session session;

    /** A request outside any Runner, for tests: there are no properties, and so no services. */
    public ContextImpl(Map<Object, Object> request, Logger logger) {
        this(request, logger, Map.of(), new Session(new Services(Map.of(), ContextImpl.class.getClassLoader(), logger)));
    }

    ContextImpl(Map<Object, Object> request, Logger logger, Map<String, Object> properties, Session session) {
        this.request = request;
        this.logger = request.get("$logger") instanceof Logger l ? l : logger;
        this.properties = properties;
        this.session = session;
    }

    /**
     * Loads the bundle. A process that holds several calls it once for each.
     *
     * @param properties the Execution Properties
     * @param loader the bundle's class loader
     * @param logger for what is no request's
     * @return gives the operation of a name, or null
     */
    public static Function<String, BiFunction<Map<Object, Object>, Logger, Object>> initContext(
            Map<String, Object> properties, ClassLoader loader, Logger logger) {
        return new Bundle(properties, loader, logger)::operation;
    }

    @Override
    public Map<Object, Object> getRequestInfo() {
        return request;
    }

    @Override
    public Logger getLogger() {
        return logger;
    }

    @Override
    public String getURI() {
        return text("uri");
    }

    @Override
    public String contentType() {
        return Objects.toString(getHeaders().get("content-type"), null);
    }

    @Override
    public Map<String, Map<String, Object>> getRequestParams() {
        return mapOf(request.get("parameters"));
    }

    @Override
    public Map<String, Object> getHeaders() {
        return mapOf(request.get("headers"));
    }

    @Override
    public Map<String, Object> getQueryParams() {
        Map<String, Object> declared = params("query");
        Map<String, Object> raw = mapOf(request.get("query-params"));
        if (declared.keySet().containsAll(raw.keySet())) {
            return declared;
        }
        Map<String, Object> all = new LinkedHashMap<>(raw);
        all.putAll(declared);
        return all;
    }

    @Override
    public Map<String, Object> getPathParams() {
        return params("path");
    }

    @Override
    public Map<String, Object> getBodyParams() {
        return params("body");
    }

    @Override
    public Map<String, Object> getMergedParams() {
        Map<String, Object> all = new LinkedHashMap<>(getHeaderParams());
        all.putAll(getBodyParams());
        all.putAll(getQueryParams());
        all.putAll(getPathParams());
        return all;
    }

    @Override
    public String getScheme() {
        return text("scheme");
    }

    @Override
    public String getHost() {
        return text("host");
    }

    @Override
    public String getMethod() {
        return text("request-method");
    }

    @Override
    public Set<String> services() {
        return session.services().names();
    }

    @Override
    public Optional<ServiceVendor<?>> serviceForName(String name) {
        return session.services().vendor(name);
    }

    @Override
    @SuppressWarnings("unchecked") // what vends a subclass of T vends T
    public <T> Optional<ServiceVendor<T>> serviceForName(String name, Class<T> type) {
        return serviceForName(name).filter(v -> v.ofType(type)).map(v -> (ServiceVendor<T>) v);
    }

    @Override
    public <T> Optional<T> vendForName(String name, Class<T> type) throws Exception {
        return session.vend(name, type);
    }

    @Override
    public Map<String, Object> properties() {
        return properties;
    }

    @Override
    public <T> void accumulate(T item, ServiceVendor<T> vendor) {
        session.accumulate(item, vendor);
    }

    @Override
    public void finished(boolean success) {
        session.finished(success);
    }

    private Map<String, Object> params(String place) {
        Map<String, Object> params = getRequestParams().get(place);
        return params == null ? Map.of() : params;
    }

    private String text(String key) {
        return Objects.toString(request.get(key), null);
    }

    @SuppressWarnings("unchecked") // the contract says what is in it
    private static <V> Map<String, V> mapOf(Object value) {
        return value instanceof Map<?, ?> map ? (Map<String, V>) map : Map.of();
    }
}
