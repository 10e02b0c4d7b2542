/* A disk that fails: loaded before the C library (LD_PRELOAD), it makes the n-th call that changes a file below a
 * folder fail with an errno of the test's choice. Other calls, files and processes go on as ever.
 *
 * The count lies in memory shared with forked children, so that a parent can read it after they have ended.
 */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <unistd.h>

struct plan {
    atomic_long calls;         /* that would have changed a file below the folder */
    atomic_long failed;        /* of them, those that were made to fail */
    char what[PATH_MAX + 32];  /* the first that failed: its name and its file */
    char folder[PATH_MAX];
    int error;                 /* 0: nothing fails */
    long at;                   /* the call that fails, from 1 */
    int stays;                 /* all later ones fail as well */
};

static struct plan *plan;

__attribute__((constructor)) static void begin(void)
{
    plan = mmap(NULL, sizeof *plan, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (plan == MAP_FAILED)
        plan = NULL;
}

/* From now on, count; and fail the call `at` below `folder` with `error`, and all later ones if it `stays`. */
void failing_disk_arm(const char *folder, int error, long at, int stays)
{
    plan->error = 0;
    atomic_store(&plan->calls, 0);
    atomic_store(&plan->failed, 0);
    plan->what[0] = '\0';
    snprintf(plan->folder, sizeof plan->folder, "%s", folder);
    plan->at = at;
    plan->stays = stays;
    plan->error = error;
}

long failing_disk_failed(void) { return atomic_load(&plan->failed); }
const char *failing_disk_what(void) { return plan->what; }

/* Whether this call is to fail. */
static int fails(int descriptor, const char *call)
{
    char link[64], path[PATH_MAX];
    ssize_t length;
    int before = errno;
    long number;

    if (plan == NULL || plan->error == 0)
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    length = readlink(link, path, sizeof path - 1);
    errno = before;
    if (length < 0)
        return 0;
    path[length] = '\0';
    if (strncmp(path, plan->folder, strlen(plan->folder)) != 0)
        return 0;
    number = atomic_fetch_add(&plan->calls, 1) + 1;
    if (number != plan->at && !(plan->stays && number > plan->at))
        return 0;
    if (atomic_fetch_add(&plan->failed, 1) == 0)
        snprintf(plan->what, sizeof plan->what, "%s %s", call, path);
    errno = plan->error;
    return 1;
}

#define FAILING(result, name, parameters, arguments)                     \
    result name parameters                                               \
    {                                                                    \
        static result(*_Atomic real) parameters;                         \
        if (real == NULL)                                                \
            real = (result(*) parameters)dlsym(RTLD_NEXT, #name);        \
        return fails(descriptor, #name) ? (result)-1 : real arguments;   \
    }

FAILING(ssize_t, write, (int descriptor, const void *bytes, size_t size), (descriptor, bytes, size))
FAILING(ssize_t, pwrite, (int descriptor, const void *bytes, size_t size, off_t at), (descriptor, bytes, size, at))
FAILING(ssize_t, pwrite64, (int descriptor, const void *bytes, size_t size, off64_t at), (descriptor, bytes, size, at))
FAILING(int, fsync, (int descriptor), (descriptor))
FAILING(int, fdatasync, (int descriptor), (descriptor))
FAILING(int, ftruncate, (int descriptor, off_t size), (descriptor, size))
FAILING(int, ftruncate64, (int descriptor, off64_t size), (descriptor, size))
