package funcatron.intf;

import java.util.Map;
import java.util.Optional;
import java.util.logging.Logger;

/**
 * Builds the services of one type. A bundle names its own in
 * {@code META-INF/services/funcatron.intf.ServiceVendorProvider}.
 */
public interface ServiceVendorProvider {
    /** The type: what properties have as their {@code type}. */
    String forType();

    /**
     * Builds a service when the first request asks for it, and again at the next one where
     * it could not.
     *
     * @param properties what describes the service, {@code type} among it
     * @return empty where these properties describe no such service
     */
    Optional<ServiceVendor<?>> buildVendor(String name, Map<String, Object> properties, Logger logger);
}
