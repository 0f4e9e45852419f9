package funcatron.host;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.regex.Pattern;

/** Names of properties in camelCase, as bundles find them: my-db and my_db are myDb. */
final class Names {
    private static final Pattern WORDS = Pattern.compile("[A-Za-z][A-Za-z0-9]*([-_][A-Za-z0-9]+)+");

    private Names() {}

    static Map<String, Object> camelCase(Map<String, Object> properties) {
        Map<String, Object> renamed = new LinkedHashMap<>();
        properties.forEach((name, value) -> renamed.put(camelCase(name), inside(value)));
        properties.forEach((name, value) -> { // a name that is spelt so already wins over one that becomes so
            if (camelCase(name).equals(name)) {
                renamed.put(name, inside(value));
            }
        });
        return renamed;
    }

    @SuppressWarnings("unchecked") // JSON objects have names
    private static Object inside(Object value) {
        if (value instanceof Map<?, ?> map) {
            return camelCase((Map<String, Object>) map);
        }
        return value instanceof List<?> list ? list.stream().map(Names::inside).toList() : value;
    }

    static String camelCase(String name) {
        if (!WORDS.matcher(name).matches()) {
            return name;
        }
        StringBuilder camel = new StringBuilder(name.length());
        for (String word : name.split("[-_]")) {
            String w = word.equals(word.toUpperCase(Locale.ROOT)) ? word.toLowerCase(Locale.ROOT) : word;
            char first = w.charAt(0);
            camel.append(camel.isEmpty() ? Character.toLowerCase(first) : Character.toUpperCase(first)).append(w, 1, w.length());
        }
        return camel.toString();
    }
}
