package funcatron.host;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;

/**
 * What the Runner says in the environment.
 *
 * @param socket the Unix socket to listen on; null where it is {@code port}
 * @param concurrency how many requests come at once at most
 * @param properties the Execution Properties, names in camelCase
 * @param document the Swagger document
 */
record Settings(Path socket, int port, int concurrency, Map<String, Object> properties, Map<String, Object> document) {

    static Settings of(Map<String, String> environment) throws UnservableException {
        String socket = environment.getOrDefault("FUNCATRON_SOCKET", "");
        String port = environment.getOrDefault("PORT", "");
        if (socket.isEmpty() && port.isEmpty()) {
            throw new UnservableException("neither FUNCATRON_SOCKET nor PORT says where to listen");
        }
        return new Settings(
                socket.isEmpty() ? null : Path.of(socket),
                socket.isEmpty() ? number("PORT", port) : 0,
                number("FUNCATRON_CONCURRENCY", environment.getOrDefault("FUNCATRON_CONCURRENCY", "64")),
                Names.camelCase(object("FUNCATRON_PROPS_FILE", environment)),
                object("FUNCATRON_SWAGGER_FILE", environment));
    }

    private static int number(String name, String value) throws UnservableException {
        try {
            int n = Integer.parseInt(value);
            if (n > 0) {
                return n;
            }
        } catch (NumberFormatException e) {
            // said below
        }
        throw new UnservableException(name + " is no positive number: " + value);
    }

    private static Map<String, Object> object(String name, Map<String, String> environment) throws UnservableException {
        String file = environment.getOrDefault(name, "");
        if (file.isEmpty()) {
            throw new UnservableException(name + " is not set");
        }
        try {
            return Json.object(Files.readAllBytes(Path.of(file)));
        } catch (Json.SyntaxException e) { // what is in it may be a secret
            throw new UnservableException(name + " does not hold a JSON object", e);
        } catch (IOException e) {
            throw new UnservableException("read " + name + ": " + e, e);
        }
    }
}
