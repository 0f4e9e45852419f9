package funcatron.java_sample;

import funcatron.intf.Context;
import funcatron.intf.Func;
import java.util.List;

/** Answers with the record that was sent, read into Java's own types and written again. */
public class Record implements Func<Record.Content> {
    public record Content(long id, String text, double ratio, List<String> tags) {}

    @Override
    public Object apply(Content content, Context context) {
        return content;
    }
}
