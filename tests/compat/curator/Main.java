import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.Collectors;

/**
 * Curator's recipes against servers on 127.0.0.1; of the second, the reaper looks often.
 *
 * <p>Main PORT REAPING_PORT [WORD of a case's name]...
 */
public final class Main {
    private Main() {
    }

    public static void main(String[] args) throws Exception {
        int port = Integer.parseInt(args[0]);
        int reapingPort = Integer.parseInt(args[1]);
        List<String> words = Arrays.asList(args).subList(2, args.length);
        Map<String, Cases> all = new LinkedHashMap<>();
        all.put("framework", new FrameworkCases());
        all.put("locks", new LockCases());
        all.put("leaders", new LeaderCases());
        all.put("counters", new CounterCases());
        all.put("queues", new QueueCases());
        all.put("caches", new CacheCases());
        all.put("nodes", new NodeCases());
        all.put("discovery", new DiscoveryCases());
        all.put("reap", new ReapCases());

        /* Beside each other, as most of their time they wait to be connected again. */
        ExecutorService threads = Executors.newFixedThreadPool(all.size());
        List<Callable<Integer>> runs = all.entrySet().stream()
                .map(one -> (Callable<Integer>) () -> one.getValue()
                        .run(one.getKey().equals("reap") ? reapingPort : port, one.getKey(), words))
                .collect(Collectors.toList());
        int failed = 0;
        for (Future<Integer> run : threads.invokeAll(runs)) {
            failed += run.get();
        }
        System.out.flush();
        System.exit(failed == 0 ? 0 : 1);
    }
}
