package kernelimage_test

import (
	"context"
	"fmt"

	"callops/kernelimage"
)

func ExampleBuiltin() {
	img, err := kernelimage.Builtin(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	site := img.Sites()[0]
	fmt.Printf("%s: %d call sites\n", img.Banner(), len(img.Sites()))
	fmt.Printf("function %#x, literal %#x, ip %#x\n", site.Func(), site.Literal, site.IP)
	// Output:
	// callops built-in kernel: 25 call sites
	// function 0xffff800080000008, literal 0xffff800080000000, ip 0xffff80008000000c
}

func ExampleTextGrowth() {
	with, err := kernelimage.Open(context.Background(), "testdata/workload/workload-callops.elf", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	without, err := kernelimage.Open(context.Background(), "testdata/workload/workload-args.elf", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	g, err := kernelimage.TextGrowth(with, without)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%d sites: %d bytes of literals, %d of padding\n", g.With.Sites, g.With.Literals, g.With.Padding)
	fmt.Printf("text %d -> %d bytes, %+.1f %%\n", g.Without.Text, g.With.Text, g.Percent)
	// Output:
	// 65 sites: 520 bytes of literals, 132 of padding
	// text 7228 -> 7908 bytes, +9.4 %
}
