int fb_version(void){return 1;}
