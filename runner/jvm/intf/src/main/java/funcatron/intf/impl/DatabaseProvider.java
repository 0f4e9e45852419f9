package funcatron.intf.impl;

import com.zaxxer.hikari.HikariConfig;
import com.zaxxer.hikari.HikariDataSource;
import funcatron.intf.Accumulator;
import funcatron.intf.ServiceVendor;
import funcatron.intf.ServiceVendorProvider;
import java.sql.Connection;
import java.sql.Driver;
import java.sql.SQLException;
import java.util.Map;
import java.util.Optional;
import java.util.ServiceLoader;
import java.util.Set;
import java.util.logging.Logger;
import javax.sql.DataSource;

/**
 * Services of type {@code database}: connections of a HikariCP pool, each in a
 * transaction. Their properties:
 *
 * <pre>
 * url         what the driver opens
 * username    who opens it
 * password
 * classname   the driver's class, or a DataSource's; without it, the driver in the jar that knows the url
 * readOnly    true makes the transactions read-only
 * isolation   TRANSACTION_READ_COMMITTED, TRANSACTION_SERIALIZABLE, ...; the default is the driver's
 * maximumPoolSize, minimumIdle       connections; 10 and 1
 * connectionTimeout, idleTimeout, maxLifetime   ms; 30000, 600000, 1800000
 * </pre>
 *
 * All others that are strings, numbers or booleans go to the driver.
 */
final class DatabaseProvider implements ServiceVendorProvider {
    private static final Set<String> OURS = Set.of(
            "type", "url", "username", "password", "classname", "readOnly", "isolation", "maximumPoolSize", "minimumIdle",
            "connectionTimeout", "idleTimeout", "maxLifetime");

    private final ClassLoader loader;

    DatabaseProvider(ClassLoader loader) {
        this.loader = loader;
    }

    @Override
    public String forType() {
        return "database";
    }

    @Override
    public Optional<ServiceVendor<?>> buildVendor(String name, Map<String, Object> properties, Logger logger) {
        ClassLoader before = Thread.currentThread().getContextClassLoader();
        Thread.currentThread().setContextClassLoader(loader); // by which HikariCP and drivers find classes
        try {
            // This constructor opens nothing: the first connection that is asked for does.
            HikariDataSource pool = new HikariDataSource();
            configure(pool, name, properties);
            return Optional.of(new Database(name, pool));
        } finally {
            Thread.currentThread().setContextClassLoader(before);
        }
    }

    private void configure(HikariConfig config, String name, Map<String, Object> properties) {
        config.setPoolName(name);
        config.setAutoCommit(false);
        config.setIsolateInternalQueries(true); // a driver's own probe must not leave a transaction open
        config.setMinimumIdle(1);
        String url = (String) properties.get("url");
        String classname = (String) properties.get("classname");
        if (classname != null && isDataSource(classname)) {
            config.setDataSourceClassName(classname);
            if (url != null) {
                config.addDataSourceProperty("url", url);
            }
        } else if (url == null) {
            throw new IllegalArgumentException("its properties have no \"url\"");
        } else {
            config.setDriverClassName(classname != null ? classname : driverOf(url));
            config.setJdbcUrl(url);
        }
        properties.forEach((key, value) -> set(config, key, value));
    }

    private static void set(HikariConfig config, String key, Object value) {
        switch (key) {
            case "username" -> config.setUsername((String) value);
            case "password" -> config.setPassword((String) value);
            case "readOnly" -> config.setReadOnly(Boolean.parseBoolean(value.toString()));
            case "isolation" -> config.setTransactionIsolation((String) value);
            case "maximumPoolSize" -> config.setMaximumPoolSize((int) number(key, value));
            case "minimumIdle" -> config.setMinimumIdle((int) number(key, value));
            case "connectionTimeout" -> config.setConnectionTimeout(number(key, value));
            case "idleTimeout" -> config.setIdleTimeout(number(key, value));
            case "maxLifetime" -> config.setMaxLifetime(number(key, value));
            default -> {
                if (!OURS.contains(key) && (value instanceof String || value instanceof Number || value instanceof Boolean)) {
                    config.addDataSourceProperty(key, value.toString());
                }
            }
        }
    }

    private static long number(String key, Object value) {
        try {
            return value instanceof Number n ? n.longValue() : Long.parseLong(value.toString());
        } catch (NumberFormatException e) {
            throw new IllegalArgumentException("its " + key + " is no number", e);
        }
    }

    private boolean isDataSource(String classname) {
        try {
            return DataSource.class.isAssignableFrom(Class.forName(classname, false, loader));
        } catch (ClassNotFoundException e) {
            throw new IllegalArgumentException("the jar has no class " + classname, e);
        }
    }

    /**
     * The driver in the jar for a URL. DriverManager does not do: it looks for drivers once
     * in the life of a process, and would not see those of a bundle that comes later.
     */
    private String driverOf(String url) {
        for (Driver driver : ServiceLoader.load(Driver.class, loader)) {
            try {
                if (driver.acceptsURL(url)) {
                    return driver.getClass().getName();
                }
            } catch (SQLException e) {
                throw new IllegalArgumentException("its url is not one that " + driver.getClass().getName() + " understands", e);
            }
        }
        throw new IllegalArgumentException("no JDBC driver in the jar knows its url: add the driver to the bundle's dependencies");
    }

    private record Database(String name, HikariDataSource pool) implements ServiceVendor<Connection> {
        @Override
        public Class<Connection> type() {
            return Connection.class;
        }

        @Override
        public Connection vend(Accumulator accumulator) throws SQLException {
            Connection connection = pool.getConnection();
            try {
                accumulator.accumulate(connection, this);
            } catch (RuntimeException e) {
                connection.close();
                throw e;
            }
            return connection;
        }

        @Override
        public void release(Connection connection, boolean success) throws SQLException {
            try (connection) { // back to the pool, come what may
                if (success) {
                    connection.commit();
                } else {
                    connection.rollback();
                }
            }
        }

        @Override
        public void endLife() {
            pool.close();
        }
    }
}
