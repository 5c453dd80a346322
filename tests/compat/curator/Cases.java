import java.io.PrintWriter;
import java.io.StringWriter;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.function.IntFunction;
import org.apache.curator.framework.CuratorFramework;

/** The cases, by name, and what each of them is given: clients, a path of its own, threads. */
abstract class Cases {
    static final int TIMEOUT_MS = 10_000;
    static final int RESULT_SECONDS_MAX = 60;

    interface Body {
        void run() throws Exception;
    }

    private final Map<String, Body> bodies = new LinkedHashMap<>();
    private final List<AutoCloseable> toClose = new ArrayList<>();
    private int serverPort;
    private int number;
    private ExecutorService threads;
    /** A namespace for each case: what one leaves behind, no other sees. */
    protected String namespace;

    protected void add(String name, Body body) {
        bodies.put(name, body);
    }

    protected Link link() throws Exception {
        return closed(new Link(serverPort, TIMEOUT_MS, namespace));
    }

    protected List<Link> links(int count) throws Exception {
        List<Link> links = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            links.add(link());
        }
        return links;
    }

    protected CuratorFramework client() throws Exception {
        return link().client;
    }

    /** Closed when the case ends, the last one first. */
    protected <T extends AutoCloseable> T closed(T one) {
        toClose.add(one);
        return one;
    }

    protected <T> Future<T> start(Callable<T> work) {
        return threads.submit(work);
    }

    protected static <T> T result(Future<T> future) throws Exception {
        return future.get(RESULT_SECONDS_MAX, TimeUnit.SECONDS);
    }

    /** All at once; what one of them throws is thrown. */
    protected void inThreads(int count, IntFunction<Callable<Void>> work)
            throws Exception {
        List<Future<Void>> futures = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            futures.add(start(work.apply(i)));
        }
        for (Future<Void> future : futures) {
            result(future);
        }
    }

    /** TAP on standard output; how many failed. */
    int run(int port, String prefix, List<String> words) {
        serverPort = port;
        int failed = 0;
        for (Map.Entry<String, Body> one : bodies.entrySet()) {
            if (words.stream().allMatch(one.getKey()::contains)) {
                namespace = prefix + "-" + ++number;
                failed += runOne(one.getKey(), one.getValue()) ? 0 : 1;
            }
        }
        return failed;
    }

    private boolean runOne(String name, Body body) {
        threads = Executors.newCachedThreadPool(work -> {
            Thread thread = new Thread(work);
            thread.setDaemon(true);
            return thread;
        });
        long begin = System.nanoTime();
        Throwable failure = null;
        try {
            body.run();
        } catch (Throwable e) {
            failure = e;
        }
        threads.shutdownNow();
        closeAll();
        StringWriter report = new StringWriter();
        report.append(failure == null ? "ok - " : "not ok - ").append(name);
        report.append(" # ").append((System.nanoTime() - begin) / 1_000_000 + " ms\n");
        if (failure != null) {
            failure.printStackTrace(new PrintWriter(report));
        }
        System.out.print(report); /* In one piece: other cases run beside. */
        return failure == null;
    }

    private void closeAll() {
        for (int i = toClose.size() - 1; i >= 0; i--) {
            try {
                toClose.get(i).close();
            } catch (Exception e) {
                /* A case may have closed it itself, and some mind to be closed twice. */
            }
        }
        toClose.clear();
    }
}
