package funcatron.spring_boot_sample;

import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.boot.autoconfigure.jdbc.DataSourceAutoConfiguration;
import org.springframework.boot.web.embedded.tomcat.TomcatConnectorCustomizer;
import org.springframework.context.annotation.Bean;

/**
 * The Spring Boot sample of Funcatron: an ordinary web application, which knows of Funcatron what application.properties
 * and {@link RequestFilter} say. funcatron.yaml at the root of its jar makes that a Func Bundle.
 */
@SpringBootApplication(proxyBeanMethods = false, exclude = DataSourceAutoConfiguration.class) // Database has its own, or none
public class Application {

	public static void main(String[] args) {
		SpringApplication.run(Application.class, args);
		// These run when all has been closed. Java itself would end with 143 after SIGTERM.
		SpringApplication.getShutdownHandlers().add(() -> Runtime.getRuntime().halt(0));
	}

	/** A %2F or %5C is a character of a parameter's value. Tomcat would refuse it. */
	@Bean
	TomcatConnectorCustomizer slashesInValues() {
		return connector -> {
			connector.setEncodedSolidusHandling("passthrough");
			connector.setEncodedReverseSolidusHandling("passthrough");
		};
	}
}
