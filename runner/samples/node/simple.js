/** simpleGet serves /simple and /simple/{num}; num is there on the latter. */
export function simpleGet(ctx) {
  ctx.log.info("In Node 'SimpleGet... yay!");
  return {
    'num-param': ctx.pathParams.num, // undefined is left out
    bools: true,
    numero: Math.random(),
    'query-params': ctx.queryParams,
    time: javaDate(new Date()),
  };
}

/** javaDate is a time as a java.util.Date prints it: Fri Dec 09 20:31:31 UTC 2016. */
function javaDate(date) {
  const [weekday, day, month, year, time] = date.toUTCString().replace(',', '').split(' ');
  return `${weekday} ${month} ${day} ${time} UTC ${year}`;
}
