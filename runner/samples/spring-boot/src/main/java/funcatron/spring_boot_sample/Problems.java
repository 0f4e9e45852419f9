package funcatron.spring_boot_sample;

import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.slf4j.MDC;
import org.springframework.http.HttpHeaders;
import org.springframework.http.HttpStatus;
import org.springframework.http.HttpStatusCode;
import org.springframework.http.ProblemDetail;
import org.springframework.http.ResponseEntity;
import org.springframework.transaction.CannotCreateTransactionException;
import org.springframework.web.bind.annotation.ExceptionHandler;
import org.springframework.web.bind.annotation.RestControllerAdvice;
import org.springframework.web.context.request.WebRequest;
import org.springframework.web.servlet.mvc.method.annotation.ResponseEntityExceptionHandler;

/** Answers every exception with application/problem+json that names the request. */
@RestControllerAdvice
class Problems extends ResponseEntityExceptionHandler {

	private static final Logger log = LoggerFactory.getLogger(Problems.class);

	@ExceptionHandler(CannotCreateTransactionException.class)
	ResponseEntity<Object> noDatabase(Exception e, WebRequest request) {
		return problem(e, HttpStatus.SERVICE_UNAVAILABLE, "the service \"db\" is not available", request);
	}

	/** What nobody expected is for the log only: its text may hold what no client is to read. */
	@ExceptionHandler(Exception.class)
	ResponseEntity<Object> unexpected(Exception e, WebRequest request) {
		return problem(e, HttpStatus.INTERNAL_SERVER_ERROR, "the function failed; its log says why, under this requestId", request);
	}

	private ResponseEntity<Object> problem(Exception e, HttpStatus status, String detail, WebRequest request) {
		log.error(e.toString(), e);
		return createResponseEntity(ProblemDetail.forStatusAndDetail(status, detail), new HttpHeaders(), status, request);
	}

	@Override
	protected ResponseEntity<Object> createResponseEntity(Object body, HttpHeaders headers, HttpStatusCode status, WebRequest request) {
		if (body instanceof ProblemDetail problem) {
			problem.setProperty("requestId", MDC.get(RequestFilter.REQUEST_ID));
		}
		return super.createResponseEntity(body, headers, status, request);
	}
}
