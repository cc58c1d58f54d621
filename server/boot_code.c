#include "server/boot_code.h"

#include <elf.h>
#include <link.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include "modules/base/os.h"

static int pin_segment(struct os *os, const struct dl_phdr_info *program,
                       const ElfW(Phdr) * segment)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t begin = program->dlpi_addr + segment->p_vaddr, end = begin + segment->p_memsz;

    begin &= ~(page - 1);
    end = (end + page - 1) & ~(page - 1);
    return os->pin(os, (void *)begin, end - begin); // NOLINT(performance-no-int-to-ptr)
}

/* The first one is the program itself. Not 0: no other is asked for. */
static int pin_program(struct dl_phdr_info *program, size_t size, void *context)
{
    struct os *os = context;

    (void)size;
    for (size_t i = 0; i < program->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &program->dlpi_phdr[i];
        bool is_of_file = segment->p_type == PT_LOAD && !(segment->p_flags & PF_W);
        int rc = is_of_file ? pin_segment(os, program, segment) : 0;

        if (rc < 0) return rc;
    }
    return 1;
}

int boot_code_pin(struct os *os)
{
    int rc = dl_iterate_phdr(pin_program, os);

    return rc < 0 ? rc : 0;
}
