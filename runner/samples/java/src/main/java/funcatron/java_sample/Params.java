package funcatron.java_sample;

import funcatron.intf.Context;
import funcatron.intf.Func;
import java.util.LinkedHashMap;
import java.util.Map;

/** Answers with its parameters, each of the type that the Swagger document declares. */
public class Params implements Func<Object> {
    @Override
    public Object apply(Object none, Context context) {
        Map<String, Object> path = context.getPathParams();
        Map<String, Object> query = context.getQueryParams();
        Map<String, Object> answer = new LinkedHashMap<>();
        answer.put("id", path.get("id"));
        answer.put("name", path.get("name"));
        for (String name : new String[] {"limit", "on", "tags"}) {
            answer.put(name, query.get(name));
        }
        return answer;
    }
}
