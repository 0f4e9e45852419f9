package funcatron.spring_boot_sample;

import static org.assertj.core.api.Assertions.assertThat;
import static org.hamcrest.Matchers.containsString;
import static org.springframework.test.web.servlet.request.MockMvcRequestBuilders.get;
import static org.springframework.test.web.servlet.result.MockMvcResultMatchers.jsonPath;
import static org.springframework.test.web.servlet.result.MockMvcResultMatchers.status;

import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;
import org.springframework.beans.factory.ObjectProvider;
import org.springframework.beans.factory.annotation.Autowired;
import org.springframework.beans.factory.support.StaticListableBeanFactory;
import org.springframework.boot.test.context.SpringBootTest;
import org.springframework.boot.test.system.CapturedOutput;
import org.springframework.boot.test.system.OutputCaptureExtension;
import org.springframework.boot.test.web.server.LocalServerPort;
import org.springframework.test.context.DynamicPropertyRegistry;
import org.springframework.test.context.DynamicPropertySource;
import org.springframework.test.web.servlet.setup.MockMvcBuilders;

/** Speaks to the application as the Runner does. */
@SpringBootTest(webEnvironment = SpringBootTest.WebEnvironment.RANDOM_PORT, properties = "maxVisits=2")
@ExtendWith(OutputCaptureExtension.class)
class ApplicationTest {

	private static final String REQ = "db9d00abf61d9c67f4f0e755e96b8d0e";

	@TempDir
	static Path folder;

	@DynamicPropertySource
	static void database(DynamicPropertyRegistry registry) {
		registry.add("db.url", () -> "jdbc:sqlite:" + folder.resolve("visits.db") + "?busy_timeout=10000");
	}

	@LocalServerPort
	int port;

	@Autowired
	ObjectMapper json;

	private final HttpClient client = HttpClient.newHttpClient();

	private HttpResponse<String> call(String method, String target, String body, String... headers) {
		var request = HttpRequest.newBuilder(URI.create("http://127.0.0.1:" + port + "/sample/spring-boot" + target))
				.method(method, HttpRequest.BodyPublishers.ofString(body)).header("Content-Type", "application/json")
				.header("X-Request-Id", REQ).header("X-Funcatron-Operation", "the.Operation");
		if (headers.length > 0) {
			request.headers(headers);
		}
		try {
			return client.send(request.build(), HttpResponse.BodyHandlers.ofString());
		} catch (IOException | InterruptedException e) {
			throw new AssertionError(e);
		}
	}

	private JsonNode ok(int status, HttpResponse<String> answer) {
		assertThat(answer.statusCode()).as(answer.body()).isEqualTo(status);
		return read(answer.body());
	}

	private JsonNode read(String text) {
		try {
			return json.readTree(text);
		} catch (IOException e) {
			throw new AssertionError(text, e);
		}
	}

	private void problem(int status, String detail, HttpResponse<String> answer) {
		assertThat(answer.headers().firstValue("Content-Type")).contains("application/problem+json");
		JsonNode problem = ok(status, answer);
		assertThat(problem.path("detail").asText()).contains(detail);
		assertThat(problem.path("requestId").asText()).isEqualTo(REQ);
		assertThat(problem.path("status").asInt()).isEqualTo(status);
	}

	/** The log lines that belong to the request. */
	private List<JsonNode> lines(CapturedOutput output) {
		return output.getOut().lines().filter(l -> l.startsWith("{") && l.contains(REQ)).map(this::read).toList();
	}

	@Test
	void simple(CapturedOutput output) {
		JsonNode all = ok(200, call("GET", "/simple/9223372036854775807?cool=yes&a=1&a=%3C", ""));
		assertThat(all.path("num-param").asText()).isEqualTo("9223372036854775807");
		assertThat(all.path("bools").asBoolean()).isTrue();
		assertThat(all.path("numero").asDouble()).isBetween(0.0, 1.0);
		assertThat(all.path("query-params")).isEqualTo(read("{\"cool\":\"yes\",\"a\":[\"1\",\"<\"]}"));
		assertThat(all.path("time").asText()).matches("[A-Z][a-z]{2} [A-Z][a-z]{2} \\d\\d \\d\\d:\\d\\d:\\d\\d UTC \\d{4}");
		assertThat(ok(200, call("GET", "/simple", "")).has("num-param")).isFalse();
		assertThat(lines(output).get(0)).isEqualTo(read("{\"msg\":\"In Spring Boot 'SimpleGet... yay!\",\"level\":\"INFO\","
				+ "\"op\":\"the.Operation\",\"req\":\"" + REQ + "\"}"));
	}

	@Test
	void change() {
		String ann = "{\"name\":\"Ann\",\"age\":9007199254740992}";
		assertThat(call("POST", "/change/2", ann).body())
				.isEqualTo("[{\"name\":\"Ann1\",\"age\":9007199254740993},{\"name\":\"Ann2\",\"age\":9007199254740994}]");
		assertThat(call("POST", "/change/-1", ann).body()).isEqualTo("[]");
		assertThat(call("DELETE", "/change/7", "").body()).isEqualTo("{\"name\":\"Deleted 7\",\"age\":7}");
		HttpResponse<String> neither = call("GET", "/change/7", "");
		assertThat(neither.statusCode()).isEqualTo(400);
		assertThat(neither.body()).isEqualTo("Expecting a POST or DELETE, but got GET");
		for (String bad : List.of("{\"name\":", "{\"name\":\"Ann\",\"age\":\"30\"}", "{\"name\":\"Ann\",\"age\":1.5}", "[]", "")) {
			problem(400, "Failed to read request", call("POST", "/change/2", bad));
		}
	}

	@Test
	void params() {
		assertThat(ok(200, call("GET", "/params/9007199254740993/a%2Fb%5C%20%F0%9F%9A%80", "")))
				.isEqualTo(read("{\"id\":9007199254740993,\"name\":\"a/b\\\\ 🚀\",\"limit\":10,\"on\":false,\"tags\":[]}"));
		assertThat(call("GET", "/params/1/n?limit=3&on=true&tags=a,b", "").body())
				.isEqualTo("{\"id\":1,\"name\":\"n\",\"limit\":3,\"on\":true,\"tags\":[\"a\",\"b\"]}");
	}

	@Test
	void wholeAnswers() {
		String record = "{\"id\":9007199254740993,\"text\":\"Grüße 世界 🚀 \\u0000?\",\"ratio\":0.1,\"tags\":[\"a\"]}";
		HttpResponse<String> same = call("POST", "/record", record);
		assertThat(ok(200, same)).isEqualTo(read(record));
		assertThat(same.headers().firstValue("Content-Length")).isPresent();
		HttpResponse<String> echo = call("POST", "/echo", "");
		assertThat(echo.statusCode()).isEqualTo(200);
		assertThat(echo.headers().firstValue("X-Sample-Length")).contains("0");
		for (int code : List.of(200, 204, 302, 304, 418, 599)) {
			HttpResponse<String> answer = call("GET", "/status/" + code, "");
			assertThat(answer.statusCode()).isEqualTo(code);
			assertThat(answer.headers().firstValue("X-Sample-Status")).contains("" + code);
			assertThat(answer.body()).isEqualTo(code == 204 || code == 304 ? "" : "status " + code);
		}
	}

	@Test
	void failures(CapturedOutput output) {
		problem(422, "the sample refuses on purpose", call("GET", "/fail/refuse", ""));
		assertThat(lines(output)).isEmpty();
		HttpResponse<String> error = call("GET", "/fail/error", "");
		problem(500, "its log says why", error);
		assertThat(error.body()).doesNotContain("on purpose");
		JsonNode line = lines(output).get(0);
		assertThat(line.path("level").asText()).isEqualTo("ERROR");
		assertThat(line.path("msg").asText()).contains("the sample fails on purpose");
		assertThat(line.path("stack").asText()).contains("SampleController.fail");
	}

	@Test
	void longLinesStayJson(CapturedOutput output) {
		assertThat(ok(200, call("GET", "/log?text=" + "%E4%B8%96".repeat(10_000), "")).path("requestId").asText()).isEqualTo(REQ);
		assertThat(lines(output)).extracting(l -> l.path("level").asText()).containsExactly("INFO", "WARN");
		assertThat(lines(output)).extracting(l -> l.path("msg").asText()).containsOnly("世".repeat(10_000));
		call("GET", "/log?text=" + "x".repeat(100_000), "");
		assertThat(lines(output)).allSatisfy(l -> assertThat(l.toString().getBytes()).hasSizeLessThan(60 << 10));
	}

	@Test
	void visits() {
		String ann = "{\"name\":\"Ann\"}";
		for (int i = 0; i < 2; i++) {
			assertThat(ok(201, call("POST", "/visits", ann)).path("name").asText()).isEqualTo("Ann");
		}
		problem(409, "Ann has visited 2 times already", call("POST", "/visits", ann));
		assertThat(ok(200, call("GET", "/visits?name=Ann", ""))).hasSize(2);

		problem(504, "out of time", call("POST", "/visits?sleep=3000", "{\"name\":\"Late\"}", "X-Funcatron-Timeout-Ms", "50"));
		problem(504, "out of time", call("POST", "/visits", "{\"name\":\"Late\"}", "X-Funcatron-Timeout-Ms", "0"));
		assertThat(ok(200, call("GET", "/visits?name=Late", ""))).isEmpty();

		Map<Integer, Long> many = IntStream.range(0, 16).parallel().mapToObj(i -> call("POST", "/visits", "{\"name\":\"Bea\"}").statusCode())
				.collect(Collectors.groupingBy(s -> s, Collectors.counting()));
		assertThat(many).isEqualTo(Map.of(201, 2L, 409, 14L));
		assertThat(ok(200, call("GET", "/visits?limit=1", ""))).extracting(v -> v.path("name").asText()).containsExactly("Bea");
	}

	@Test
	void noDatabase() throws Exception {
		ObjectProvider<Visits> none = new StaticListableBeanFactory().getBeanProvider(Visits.class);
		MockMvcBuilders.standaloneSetup(new VisitsController(none)).setControllerAdvice(new Problems()).build()
				.perform(get("/visits")).andExpect(status().isServiceUnavailable())
				.andExpect(jsonPath("$.detail").value(containsString("enable the bundle with props")));
	}
}
