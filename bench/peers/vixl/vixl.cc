// Runs a static arm64 ELF program in VIXL's simulator, from its entry to its exit by semihosting. Guest addresses are the host's.
#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <vixl/aarch64/simulator-aarch64.h>

using namespace vixl::aarch64;

static void fail(const char *what) {
  perror(what);
  exit(128);
}

// Simulator whose HLT ends the program: X1 points to the reason and the status.
class Program : public Simulator {
 public:
  explicit Program(Decoder *decoder) : Simulator(decoder) {}
  void VisitException(const Instruction *instr) override {
    if (instr->Mask(ExceptionMask) == HLT) _exit(reinterpret_cast<int64_t *>(ReadXRegister(1))[1]);
    Simulator::VisitException(instr);
  }
};

int main(int argc, char **argv) {
  int fd = argc == 2 ? open(argv[1], O_RDONLY) : -1;
  if (fd < 0) fail("open");
  struct stat info;
  if (fstat(fd, &info) != 0) fail("fstat");
  char *file = static_cast<char *>(mmap(nullptr, info.st_size, PROT_READ, MAP_PRIVATE, fd, 0));
  if (file == MAP_FAILED) fail("mmap");
  const Elf64_Ehdr *header = reinterpret_cast<Elf64_Ehdr *>(file);
  const Elf64_Phdr *part = reinterpret_cast<Elf64_Phdr *>(file + header->e_phoff);
  for (int i = 0; i < header->e_phnum; i++) {
    void *at = reinterpret_cast<void *>(part[i].p_vaddr);
    if (mmap(at, part[i].p_memsz, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED_NOREPLACE, fd, part[i].p_offset) != at) fail("mmap of a segment");
  }
  Decoder decoder;
  Program program(&decoder);
  program.RunFrom(reinterpret_cast<const Instruction *>(header->e_entry));
  return 128;
}
