import java.util.Collection;
import java.util.List;
import java.util.stream.Collectors;
import org.apache.curator.framework.CuratorFramework;
import org.apache.zookeeper.data.Stat;
import org.apache.curator.x.discovery.ServiceCache;
import org.apache.curator.x.discovery.ServiceDiscovery;
import org.apache.curator.x.discovery.ServiceDiscoveryBuilder;
import org.apache.curator.x.discovery.ServiceInstance;
import org.apache.curator.x.discovery.ServiceProvider;
import org.apache.curator.x.discovery.strategies.RoundRobinStrategy;

/** Services that register, and those who look for them. */
final class DiscoveryCases extends Cases {
    DiscoveryCases() {
        add("ServiceDiscovery registers, finds, updates and unregisters", this::registers);
        add("ServiceDiscovery registers again after a cut and an expiry", this::reconnects);
        add("ServiceCache follows, and ServiceProvider takes turns", this::cache);
    }

    private ServiceDiscovery<String> discovery(CuratorFramework client) throws Exception {
        ServiceDiscovery<String> discovery = closed(ServiceDiscoveryBuilder.builder(String.class)
                .client(client).basePath("/services").build());
        discovery.start();
        return discovery;
    }

    private static ServiceInstance<String> instance(String id, int port) throws Exception {
        return ServiceInstance.<String>builder().name("printer").id(id).address("127.0.0.1")
                .port(port).payload("p" + port).build();
    }

    private static List<String> ids(Collection<ServiceInstance<String>> instances) {
        return instances.stream().map(ServiceInstance::getId).sorted().collect(Collectors.toList());
    }

    private void registers() throws Exception {
        ServiceDiscovery<String> one = discovery(client());
        ServiceDiscovery<String> two = discovery(client());
        one.registerService(instance("a", 1));
        two.registerService(instance("b", 2));

        Check.equal(List.of("printer"), List.copyOf(two.queryForNames()));
        Check.equal(List.of("a", "b"), ids(two.queryForInstances("printer")));
        one.updateService(instance("a", 3));
        Check.equal("p3", two.queryForInstance("printer", "a").getPayload());
        one.unregisterService(instance("a", 3));
        Check.equal(List.of("b"), ids(two.queryForInstances("printer")));
    }

    private void reconnects() throws Exception {
        Link link = link();
        discovery(link.client).registerService(instance("a", 1));
        CuratorFramework client = client();
        ServiceDiscovery<String> other = discovery(client);

        link.cut();
        Check.until(() -> ids(other.queryForInstances("printer")).equals(List.of("a")), "after a cut");
        link.expire();
        Check.until(() -> ids(other.queryForInstances("printer")).equals(List.of("a"))
                && owner(client, "/services/printer/a") == link.session(),
                "after an expiry, by the new session");
    }

    private static long owner(CuratorFramework client, String path) throws Exception {
        Stat stat = client.checkExists().forPath(path);
        return stat == null ? 0 : stat.getEphemeralOwner();
    }

    private void cache() throws Exception {
        ServiceDiscovery<String> registering = discovery(client());
        ServiceDiscovery<String> looking = discovery(client());
        ServiceCache<String> cache = closed(looking.serviceCacheBuilder().name("printer").build());
        cache.start();
        registering.registerService(instance("a", 1));
        registering.registerService(instance("b", 2));
        Check.until(() -> ids(cache.getInstances()).equals(List.of("a", "b")), "both");

        ServiceProvider<String> provider = closed(looking.serviceProviderBuilder()
                .serviceName("printer").providerStrategy(new RoundRobinStrategy<>()).build());
        provider.start();
        Check.until(() -> provider.getAllInstances().size() == 2, "both");
        String first = provider.getInstance().getId();
        Check.that(!first.equals(provider.getInstance().getId()), "another one");
        Check.equal(first, provider.getInstance().getId());

        registering.unregisterService(instance("a", 1));
        Check.until(() -> ids(cache.getInstances()).equals(List.of("b")), "one has left");
    }
}
