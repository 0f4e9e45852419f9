package funcatron.intf;

import java.io.InputStream;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.Map;

/** An answer in full: its status, its headers and its body. */
public interface MetaResponse extends Iterable<Map.Entry<String, Object>> {
    /** The status, from 200 to 599. */
    default int getResponseCode() {
        return 200;
    }

    default Map<String, String> getHeaders() {
        return Map.of();
    }

    /** The Content-Type, where the headers have none. */
    default String getContentType() {
        return "application/octet-stream";
    }

    /** Whether the body is {@link #getBodyStream} and not {@link #getBody}. */
    default boolean isLargeBody() {
        return false;
    }

    /** The body; null is an empty one. */
    default byte[] getBody() {
        return null;
    }

    /** The body, read when the services have been given back, and closed. */
    default InputStream getBodyStream() {
        return null;
    }

    /** The entries of the answer by name, for runners that know none of our classes. */
    @Override
    default Iterator<Map.Entry<String, Object>> iterator() {
        boolean large = isLargeBody();
        byte[] bytes = large ? null : getBody();
        InputStream stream = large ? getBodyStream() : null;
        Map<String, Object> entries = new LinkedHashMap<>();
        entries.put("version", "1");
        entries.put("responseCode", getResponseCode());
        entries.put("headers", getHeaders());
        entries.put("contentType", getContentType());
        entries.put("largeBody", large);
        entries.put("bodyArray", bytes);
        entries.put("bodyStream", stream);
        entries.put("body", large ? stream : bytes);
        return entries.entrySet().iterator();
    }
}
