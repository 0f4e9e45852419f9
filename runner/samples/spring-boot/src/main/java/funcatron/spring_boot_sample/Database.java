package funcatron.spring_boot_sample;

import javax.sql.DataSource;

import org.springframework.beans.factory.annotation.Value;
import org.springframework.boot.autoconfigure.condition.ConditionalOnProperty;
import org.springframework.boot.jdbc.DataSourceBuilder;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;

/** The database that the property "db" describes. */
@Configuration(proxyBeanMethods = false)
@ConditionalOnProperty(Database.URL)
class Database {

	static final String URL = "db.url";

	@Bean
	DataSource dataSource(@Value("${" + URL + "}") String url, @Value("${db.username:#{null}}") String username,
			@Value("${db.password:#{null}}") String password) {
		return DataSourceBuilder.create().url(url).username(username).password(password).build();
	}
}
