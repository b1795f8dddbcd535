package kernelimage
import ("testing";"path/filepath";"fmt")
func TestZZ(t *testing.T){
 fs,_:=filepath.Glob("testdata/workload/*.[es][lo]*")
 for _,f:=range fs { img,err:=Open(f,nil); if err!=nil{fmt.Println(f,err);continue}
  c,err:=img.TextCost()
  fmt.Println(f,img.CallOps,img.BTI,len(img.Sites),len(img.Symbols),c,c.Percent(),err)
 }
 for _,o:=range []BuiltinOptions{{},{BTI:true},{NoCallOps:true},{NoCallOps:true,BTI:true},{Profile:Profile61}} {
  img,err:=Builtin(&o); if err!=nil{t.Error(err);continue}
  c,err:=img.TextCost()
  fmt.Println(img.CallOps,img.BTI,len(img.Sites),len(img.Symbols),c,c.Percent(),err)
 }
}
