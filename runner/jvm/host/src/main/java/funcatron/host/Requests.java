package funcatron.host;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.logging.Logger;
import org.eclipse.jetty.http.HttpField;
import org.eclipse.jetty.http.HttpFields;
import org.eclipse.jetty.server.Request;

/** Makes the request maps that functions get. */
final class Requests {
    /** A deadline beyond a day is as good as none, and keeps sums within a long. */
    private static final long MAX_TIMEOUT = TimeUnit.DAYS.toMillis(1);

    private Requests() {}

    /** @param deadline by System.nanoTime, or null */
    record Made(Map<Object, Object> map, Long deadline) {}

    static Made of(Request request, Operations.Operation operation, Logger logger) throws Json.SyntaxException {
        HttpFields fields = request.getHeaders();
        Map<String, Object> headers = headers(fields);
        String query = request.getHttpURI().getQuery();
        Map<String, Object> raw = Query.parse(query);
        Map<Object, Object> map = new HashMap<>(32);
        map.put("request-method", request.getMethod().toLowerCase(Locale.ROOT));
        map.put("uri", request.getHttpURI().getPath());
        map.put("query-string", query);
        map.put("query-params", raw);
        map.put("headers", headers);
        map.put("parameters", parameters(fields.get("X-Funcatron-Params"), raw));
        map.put("scheme", headers.getOrDefault("x-forwarded-proto", "http"));
        host(map, (String) headers.get("host"));
        map.put("remote-addr", remote((String) headers.get("x-forwarded-for")));
        map.put("protocol", request.getConnectionMetaData().getProtocol());
        map.put("swagger", operation.swagger());
        map.put("$logger", logger);
        Long deadline = deadline(request, fields.get("X-Funcatron-Timeout-Ms"));
        if (deadline != null) {
            map.put("$deadline", deadline);
        }
        return new Made(map, deadline);
    }

    /** Names in lower case; of a header that is repeated, its values in a row, as RFC 9110 5.3 has it. */
    private static Map<String, Object> headers(HttpFields fields) {
        Map<String, Object> headers = new HashMap<>();
        for (HttpField field : fields) {
            String name = field.getLowerCaseName();
            headers.merge(name, text(field.getValue()), (a, b) -> a + (name.equals("cookie") ? "; " : ", ") + b);
        }
        return headers;
    }

    /** HTTP's bytes, which Jetty takes for ISO 8859-1, as the UTF-8 that they may be. */
    static String text(String value) {
        if (value == null) {
            return "";
        }
        for (int i = 0; i < value.length(); i++) {
            if (value.charAt(i) > 0x7f) {
                return new String(value.getBytes(StandardCharsets.ISO_8859_1), StandardCharsets.UTF_8);
            }
        }
        return value;
    }

    /** The parameters by their place. To the query's belong those that the document does not declare, too. */
    @SuppressWarnings("unchecked") // checked by object
    static Map<String, Map<String, Object>> parameters(String header, Map<String, Object> raw) throws Json.SyntaxException {
        Map<String, Object> given = header == null || header.isEmpty() ? Map.of() : Json.object(text(header));
        Map<String, Object> declared = object(given, "query");
        Map<String, Object> query = raw.isEmpty() ? declared : new LinkedHashMap<>(raw);
        if (query != declared) {
            query.putAll(declared);
        }
        Map<String, Map<String, Object>> parameters = new HashMap<>();
        parameters.put("path", object(given, "path"));
        parameters.put("query", query);
        parameters.put("header", object(given, "header"));
        parameters.put("body", object(given, "form"));
        return parameters;
    }

    @SuppressWarnings("unchecked") // JSON objects have names
    private static Map<String, Object> object(Map<String, Object> given, String place) throws Json.SyntaxException {
        Object value = given.get(place);
        if (value == null) {
            return new HashMap<>();
        }
        if (value instanceof Map<?, ?> map) {
            return (Map<String, Object>) map;
        }
        throw new Json.SyntaxException(place + " is no JSON object");
    }

    private static void host(Map<Object, Object> map, String host) {
        map.put("host", host);
        int colon = host == null ? -1 : host.lastIndexOf(':');
        boolean port = colon >= 0 && colon > host.lastIndexOf(']') && host.substring(colon + 1).matches("[0-9]{1,5}");
        map.put("server-name", port ? host.substring(0, colon) : host);
        map.put("server-port", port ? Integer.parseInt(host.substring(colon + 1)) : 80);
    }

    private static String remote(String forwarded) {
        return forwarded == null ? "127.0.0.1" : forwarded.split(",", 2)[0].strip();
    }

    private static Long deadline(Request request, String ms) {
        if (ms == null) {
            return null;
        }
        try {
            long left = Math.min(Math.max(Long.parseLong(ms.strip()), 0), MAX_TIMEOUT);
            return request.getHeadersNanoTime() + TimeUnit.MILLISECONDS.toNanos(left);
        } catch (NumberFormatException e) {
            return null;
        }
    }

    /** Reads query strings. */
    static final class Query {
        private Query() {}

        /** The parameters in their order: a string, or a list of them where repeated. */
        static Map<String, Object> parse(String query) {
            if (query == null || query.isEmpty()) {
                return Map.of();
            }
            Map<String, Object> all = new LinkedHashMap<>();
            for (String pair : query.split("&")) {
                if (pair.isEmpty()) {
                    continue;
                }
                int equals = pair.indexOf('=');
                String name = decode(equals < 0 ? pair : pair.substring(0, equals));
                add(all, name, equals < 0 ? "" : decode(pair.substring(equals + 1)));
            }
            return all;
        }

        @SuppressWarnings("unchecked") // lists are ours
        private static void add(Map<String, Object> all, String name, String value) {
            Object before = all.putIfAbsent(name, value);
            if (before instanceof List<?> list) {
                ((List<Object>) list).add(value);
            } else if (before != null) {
                all.put(name, new ArrayList<>(List.of(before, value)));
            }
        }

        /** What is no escape stands for itself. */
        private static String decode(String text) {
            if (text.indexOf('%') < 0 && text.indexOf('+') < 0) {
                return text;
            }
            byte[] from = text.getBytes(StandardCharsets.UTF_8);
            byte[] to = new byte[from.length];
            int n = 0;
            for (int i = 0; i < from.length; i++) {
                int hi = from[i] == '%' && i + 2 < from.length ? Character.digit(from[i + 1], 16) : -1;
                int lo = hi >= 0 ? Character.digit(from[i + 2], 16) : -1;
                if (lo >= 0) {
                    to[n++] = (byte) (hi << 4 | lo);
                    i += 2;
                } else {
                    to[n++] = from[i] == '+' ? (byte) ' ' : from[i];
                }
            }
            return new String(to, 0, n, StandardCharsets.UTF_8);
        }
    }
}
