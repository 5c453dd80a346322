/* kazoo's server_version() takes the three numbers after "zookeeper.version=". Of Java there is
 * nothing to tell; memory.* are what os.memory.* is there, of the machine instead of the heap. */
#include "admin/environment.h"

#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

#define TEXT_BYTES 1024

static void memory(environment_visit *visit, void *context)
{
    struct sysinfo machine;
    char text[TEXT_BYTES];

    if (sysinfo(&machine) != 0) {
        return;
    }
    uint64_t unit = machine.mem_unit;
    (void)snprintf(text, sizeof(text), "%" PRIu64 "MB", machine.freeram * unit >> 20);
    visit(context, "os.memory.free", text);
    (void)snprintf(text, sizeof(text), "%" PRIu64 "MB", machine.totalram * unit >> 20);
    visit(context, "os.memory.max", text);
    visit(context, "os.memory.total", text);
}

static void user(environment_visit *visit, void *context)
{
    char scratch[4096];
    char folder[TEXT_BYTES];
    struct passwd entry;
    struct passwd *found = NULL;

    (void)getpwuid_r(geteuid(), &entry, scratch, sizeof(scratch), &found);
    visit(context, "user.name", found != NULL ? found->pw_name : "?");
    visit(context, "user.home", found != NULL ? found->pw_dir : "?");
    visit(context, "user.dir", getcwd(folder, sizeof(folder)) != NULL ? folder : "?");
}

void environment_each(const struct admin_settings *settings, environment_visit *visit,
                      void *context)
{
    struct utsname system = {0};
    char host[TEXT_BYTES] = "";

    (void)gethostname(host, sizeof(host) - 1);
    (void)uname(&system);
    visit(context, "zookeeper.version", settings->version);
    visit(context, "moonkeeper.version", settings->own_version);
    visit(context, "host.name", host);
    visit(context, "os.name", system.sysname);
    visit(context, "os.arch", system.machine);
    visit(context, "os.version", system.release);
    user(visit, context);
    memory(visit, context);
}
