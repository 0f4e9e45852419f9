package funcatron.intf.impl;

import funcatron.intf.Func;
import funcatron.intf.MetaResponse;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.Function;
import org.w3c.dom.Node;

/** Makes answers of what functions return: maps of status, headers and body. */
final class Answer {
    private Answer() {}

    static Map<Object, Object> of(Object result, Func<?> function, Function<Object, byte[]> serializer) throws Exception {
        if (result instanceof MetaResponse meta) {
            Object body = meta.isLargeBody() ? meta.getBodyStream() : meta.getBody();
            return answer(meta.getResponseCode(), meta.getHeaders(), body == null ? null : meta.getContentType(), body);
        }
        int status = function.statusCode();
        if (result == null) {
            return answer(status == 200 ? 204 : status, function.headers(), function.contentType(), null);
        }
        Object body;
        String type;
        if (result instanceof byte[] || result instanceof InputStream) {
            body = result;
            type = "application/octet-stream";
        } else if (result instanceof String text) {
            body = text.getBytes(StandardCharsets.UTF_8);
            type = "text/plain; charset=utf-8";
        } else if (result instanceof Node node) {
            body = Xml.write(node);
            type = "application/xml";
        } else {
            Function<Object, byte[]> encoder = function.jsonEncoder();
            body = (encoder != null ? encoder : serializer).apply(result);
            type = "application/json";
        }
        return answer(status, function.headers(), function.contentType() != null ? function.contentType() : type, body);
    }

    private static Map<Object, Object> answer(int status, Map<String, ?> headers, String contentType, Object body) {
        if (status < 200 || status > 599) {
            throw new IllegalArgumentException("answer with status " + status + ": it must be from 200 to 599");
        }
        Map<String, Object> all = new TreeMap<>(String.CASE_INSENSITIVE_ORDER);
        if (headers != null) {
            all.putAll(headers);
        }
        if (contentType != null && !contentType.isEmpty()) {
            all.putIfAbsent("Content-Type", contentType);
        }
        Map<Object, Object> answer = new HashMap<>();
        answer.put("status", status);
        answer.put("headers", all);
        answer.put("body", body);
        return answer;
    }
}
