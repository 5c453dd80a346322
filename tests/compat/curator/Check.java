import java.util.Objects;
import java.util.concurrent.Callable;

/** What a case may claim. */
final class Check {
    private static final long UNTIL_SECONDS_MAX = 30;
    private static final long POLL_MS = 10;

    private Check() {
    }

    static void that(boolean condition, String what) {
        if (!condition) {
            throw new AssertionError("not so: " + what);
        }
    }

    static void equal(Object expected, Object actual) {
        if (!Objects.equals(expected, actual)) {
            throw new AssertionError("expected " + expected + ", got " + actual);
        }
    }

    /** For what other threads, and the server, do in their own time. */
    static void until(Callable<Boolean> condition, String what) throws Exception {
        long deadline = System.nanoTime() + UNTIL_SECONDS_MAX * 1_000_000_000L;
        while (!condition.call()) {
            if (System.nanoTime() > deadline) {
                throw new AssertionError("not within " + UNTIL_SECONDS_MAX + " s: " + what);
            }
            Thread.sleep(POLL_MS);
        }
    }

    interface Attempt {
        void run() throws Exception;
    }

    static void fails(Class<? extends Exception> expected, Attempt attempt) throws Exception {
        try {
            attempt.run();
        } catch (Exception e) {
            if (expected.isInstance(e)) {
                return;
            }
            throw e;
        }
        throw new AssertionError("no " + expected.getSimpleName());
    }
}
