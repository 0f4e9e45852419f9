package funcatron.java_sample;

import funcatron.intf.Context;
import funcatron.intf.Func;
import funcatron.intf.MetaResponse;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;

/** Answers with the status that is asked for, headers of its own, and a text where the status allows one. */
public class Status implements Func<Object> {
    @Override
    public Object apply(Object none, Context context) {
        int code = ((Number) context.getPathParams().get("code")).intValue();
        Map<String, String> headers = new HashMap<>();
        headers.put("X-Sample-Status", String.valueOf(code));
        if (code / 100 == 3) {
            headers.put("Location", "/elsewhere");
        }
        return new MetaResponse() {
            @Override
            public int getResponseCode() {
                return code;
            }

            @Override
            public Map<String, String> getHeaders() {
                return headers;
            }

            @Override
            public String getContentType() {
                return "text/plain";
            }

            @Override
            public byte[] getBody() {
                return code == 204 || code == 304 ? null : ("status " + code).getBytes(StandardCharsets.UTF_8);
            }
        };
    }
}
