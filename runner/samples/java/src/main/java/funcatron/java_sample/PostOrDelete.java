package funcatron.java_sample;

import funcatron.intf.Context;
import funcatron.intf.Func;
import funcatron.intf.MetaResponse;
import java.nio.charset.StandardCharsets;
import java.util.stream.LongStream;

/** Answers each method differently: with a list, with one Data, and with a status and text of its own. */
public class PostOrDelete implements Func<Data> {
    @Override
    public Object apply(Data data, Context context) {
        // The Swagger document guarantees the path parameter cnt.
        long cnt = ((Number) context.getPathParams().get("cnt")).longValue();

        switch (context.getMethod()) {
            case "delete":
                return new Data("Deleted " + cnt, cnt);

            case "post":
                return LongStream.rangeClosed(1, cnt).mapToObj(i -> new Data(data.name() + i, data.age() + i)).toList();

            default:
                return new MetaResponse() {
                    @Override
                    public int getResponseCode() {
                        return 400;
                    }

                    @Override
                    public String getContentType() {
                        return "text/plain";
                    }

                    @Override
                    public byte[] getBody() {
                        return ("Expecting a POST or DELETE, but got " + context.getMethod()).getBytes(StandardCharsets.UTF_8);
                    }
                };
        }
    }
}
