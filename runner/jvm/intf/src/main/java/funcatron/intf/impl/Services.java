package funcatron.intf.impl;

import funcatron.intf.ServiceVendor;
import funcatron.intf.ServiceVendorProvider;
import funcatron.intf.StatusException;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import java.util.ServiceLoader;
import java.util.Set;
import java.util.TreeMap;
import java.util.logging.Level;
import java.util.logging.Logger;

/** The services that the properties describe: each is built when it is first asked for. */
final class Services {
    private final Map<String, Service> byName = new TreeMap<>(); // never changes
    private final Map<String, ServiceVendorProvider> providers; // likewise
    private final Logger logger;
    private final Deque<ServiceVendor<?>> built = new ArrayDeque<>(); // guarded by itself; the last is first

    private static final class Service {
        final String name;
        final Map<String, Object> properties;
        ServiceVendor<?> vendor; // under this service's monitor, which is held while it is built

        Service(String name, Map<String, Object> properties) {
            this.name = name;
            this.properties = properties;
        }

        String type() {
            return (String) properties.get("type");
        }
    }

    Services(Map<String, Object> properties, ClassLoader loader, Logger logger) {
        this.logger = logger;
        properties.forEach((name, value) -> describe(name, value));
        providers = byName.isEmpty() ? Map.of() : providers(loader);
        byName.values().removeIf(s -> {
            boolean unknown = !providers.containsKey(s.type());
            if (unknown) { // which is no error: any object may have a type
                logger.log(Level.INFO, "property {0} is no service: nothing in the jar provides type {1}", new Object[] {s.name, s.type()});
            }
            return unknown;
        });
    }

    @SuppressWarnings("unchecked") // JSON objects have names
    private void describe(String name, Object value) {
        if (value instanceof Map<?, ?> map && map.get("type") instanceof String) {
            byName.put(name, new Service(name, (Map<String, Object>) map));
        }
    }

    private static Map<String, ServiceVendorProvider> providers(ClassLoader loader) {
        Map<String, ServiceVendorProvider> byType = new HashMap<>();
        byType.put("database", new DatabaseProvider(loader));
        ServiceLoader.load(ServiceVendorProvider.class, loader).forEach(p -> byType.put(p.forType(), p));
        return byType;
    }

    Set<String> names() {
        return Set.copyOf(byName.keySet());
    }

    /** The service of that name, built if this is the first time; empty where there is none. */
    Optional<ServiceVendor<?>> vendor(String name) {
        Service service = byName.get(name);
        if (service == null) {
            service = byName.get(camelCase(name)); // as the Runner gives properties their names
        }
        if (service == null) {
            return Optional.empty();
        }
        synchronized (service) {
            if (service.vendor == null) {
                service.vendor = build(service);
            }
            return Optional.ofNullable(service.vendor);
        }
    }

    private ServiceVendor<?> build(Service service) {
        ServiceVendor<?> vendor;
        try {
            vendor = providers.get(service.type()).buildVendor(service.name, service.properties, logger).orElse(null);
        } catch (RuntimeException | LinkageError e) {
            throw unavailable(service.name, e);
        }
        if (vendor != null) {
            synchronized (built) {
                built.push(vendor);
            }
        }
        return vendor;
    }

    /** Says to the client which service failed, and to the log why. */
    static StatusException unavailable(String name, Throwable cause) {
        return new StatusException(503, "service \"" + name + "\" is not available", cause);
    }

    /** The camelCase of a name in kebab-case or snake_case. */
    static String camelCase(String name) {
        StringBuilder camel = new StringBuilder(name.length());
        for (String word : name.split("[-_]")) {
            if (camel.isEmpty()) {
                camel.append(word);
            } else if (!word.isEmpty()) {
                camel.append(Character.toUpperCase(word.charAt(0))).append(word, 1, word.length());
            }
        }
        return camel.toString();
    }

    /** Ends each, the last first, whatever becomes of the others. */
    void end(Logger log) {
        synchronized (built) {
            while (!built.isEmpty()) {
                ServiceVendor<?> vendor = built.pop();
                try {
                    vendor.endLife();
                } catch (RuntimeException e) {
                    log.log(Level.SEVERE, e, () -> "end service " + vendor.name());
                }
            }
        }
    }
}
