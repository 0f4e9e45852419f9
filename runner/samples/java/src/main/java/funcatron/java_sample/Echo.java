package funcatron.java_sample;

import funcatron.intf.Context;
import funcatron.intf.Func;
import funcatron.intf.MetaResponse;
import java.util.Map;

/** Answers with the bytes that were sent, and their content type. */
public class Echo implements Func<byte[]> {
    @Override
    public Object apply(byte[] bytes, Context context) {
        return new MetaResponse() {
            @Override
            public Map<String, String> getHeaders() {
                return Map.of("X-Sample-Length", String.valueOf(bytes.length));
            }

            @Override
            public String getContentType() {
                return context.contentType() != null ? context.contentType() : MetaResponse.super.getContentType();
            }

            @Override
            public byte[] getBody() {
                return bytes;
            }
        };
    }
}
