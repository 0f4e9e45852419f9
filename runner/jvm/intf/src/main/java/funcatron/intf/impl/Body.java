package funcatron.intf.impl;

import funcatron.intf.StatusException;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.lang.reflect.Type;
import java.nio.charset.Charset;
import java.nio.charset.StandardCharsets;
import java.util.Locale;
import java.util.function.BiFunction;
import java.util.function.Function;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Reads bodies as what a function's class takes. */
final class Body {
    private static final Pattern CHARSET = Pattern.compile("(?i);\\s*charset\\s*=\\s*\"?([^\\s;\"]+)");

    private final Type type;
    private final Class<?> raw;
    private final BiFunction<InputStream, Class<?>, Object> deserializer;
    private final BiFunction<InputStream, Type, Object> typeDeserializer;

    /** @param typeDeserializer knows the types of members of collections, too; null where the Runner has none */
    Body(Type type, BiFunction<InputStream, Class<?>, Object> deserializer, BiFunction<InputStream, Type, Object> typeDeserializer) {
        this.type = type;
        this.raw = ParameterType.raw(type);
        this.deserializer = deserializer;
        this.typeDeserializer = typeDeserializer;
    }

    /**
     * @param in null where there is none
     * @param decoder the function's own, or null
     */
    Object read(InputStream in, String contentType, Function<InputStream, ?> decoder) {
        if (raw == byte[].class) {
            return in == null ? new byte[0] : bytes(in);
        }
        if (raw == InputStream.class) {
            return in == null ? new ByteArrayInputStream(new byte[0]) : in;
        }
        if (in == null) {
            return null;
        }
        try {
            if (decoder != null) {
                return decoder.apply(in);
            }
            if (raw == org.w3c.dom.Document.class || raw == org.w3c.dom.Node.class) {
                return Xml.parse(in);
            }
            if (raw == String.class && !isJson(contentType)) {
                return new String(bytes(in), charsetOf(contentType));
            }
            return type instanceof Class<?> || typeDeserializer == null
                    ? deserializer.apply(in, raw)
                    : typeDeserializer.apply(in, type);
        } catch (StatusException e) {
            throw e;
        } catch (Exception e) {
            throw new StatusException(400, "the body cannot be read: " + e.getMessage(), e);
        }
    }

    private static byte[] bytes(InputStream in) {
        try {
            return in.readAllBytes();
        } catch (IOException e) {
            throw new UncheckedIOException("read the body", e);
        }
    }

    private static boolean isJson(String contentType) {
        if (contentType == null) {
            return true;
        }
        String media = contentType.split(";", 2)[0].strip().toLowerCase(Locale.ROOT);
        return media.equals("application/json") || media.endsWith("+json");
    }

    private static Charset charsetOf(String contentType) {
        Matcher m = CHARSET.matcher(contentType == null ? "" : contentType);
        return m.find() ? Charset.forName(m.group(1)) : StandardCharsets.UTF_8;
    }
}
